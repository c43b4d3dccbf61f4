//! `[audit]`, and the salt file that it names.

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    entropy::Entropy,
    keyring::{KeyFileError, Strictness, read_key_file},
    names::names,
    token::Fingerprinter,
};

/// `[audit]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where lines are written.
    pub output: Output,
    /// What happens to a call whose line cannot be written.
    pub on_failure: OnFailure,
    /// The file with the salt of the fingerprints: see [`fingerprinter`].
    pub salt_file: Option<PathBuf>,
}

/// Where lines are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// A file: appended to, created if it is missing.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "stdout" { Self::Stdout } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What happens to a call whose line cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on; the failure is counted and logged.
    Allow,
}

names! { pub OnFailure { Deny = "deny", Allow = "allow" } }

/// A fingerprinter with the salt of a file, which is checked like a secret key file; without one, an
/// ephemeral one.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn fingerprinter(
    salt_file: Option<&Path>,
    entropy: &dyn Entropy,
) -> Result<Fingerprinter, Vec<KeyFileError>> {
    if let Some(path) = salt_file {
        return Ok(Fingerprinter::new(read_key_file(path, Strictness::Secret)?.as_bytes()));
    }
    Ok(ephemeral_fingerprinter(entropy))
}

/// A fingerprinter with a random salt: its fingerprints compare within this process only.
pub fn ephemeral_fingerprinter(entropy: &dyn Entropy) -> Fingerprinter {
    Fingerprinter::new([entropy.bytes(), entropy.bytes()].as_flattened())
}
