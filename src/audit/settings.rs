//! What can be set, and the salt that a setting names.

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    entropy::Entropy,
    keyring::{KeyFileError, Strictness, read_key_file},
    token::Fingerprinter,
};

/// `[audit]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where lines go.
    pub output: Output,
    /// What becomes of a call whose line cannot be written.
    pub on_failure: OnFailure,
    /// Holds the salt of the tokens' fingerprints: see [`fingerprinter`].
    pub salt_file: Option<PathBuf>,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// To standard output.
    #[default]
    Stdout,
    /// To the end of a file, which is made if there is none.
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

/// What becomes of a call whose line cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on. The failure is counted and logged.
    Allow,
}

impl FromStr for OnFailure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "deny" => Ok(Self::Deny),
            "allow" => Ok(Self::Allow),
            _ => Err(()),
        }
    }
}

/// Makes fingerprints under the salt of a file, which is judged as a secret key's is; without one,
/// under a salt of this process alone.
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
    Ok(throw_away_fingerprinter(entropy))
}

/// Makes fingerprints that can be compared within this process alone.
pub fn throw_away_fingerprinter(entropy: &dyn Entropy) -> Fingerprinter {
    Fingerprinter::new([entropy.bytes(), entropy.bytes()].as_flattened())
}
