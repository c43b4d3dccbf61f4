//! Key files.
//!
//! A file is opened once and judged by what was opened, so that a swapped symlink cannot pass one
//! file's check with another file's content.

use std::{fs::File, io::Read, os::unix::fs::PermissionsExt, path::Path};

use zeroize::Zeroizing;

/// The shortest secret key that `serve` takes, in bytes.
pub const SHORTEST_SECRET: usize = 16;

/// The longest key file, in bytes.
const LONGEST_FILE: usize = 4096;

/// How a key file is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Whatever holds a key: for access keys, and for the offline commands.
    Public,
    /// As `serve` does a secret key: closed to others, long enough.
    Secret,
}

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// Others may read or change it.
    #[error("is open to other users (mode {0:04o}): chmod 0440 it, or set the volume's defaultMode: 0440")]
    OpenToOthers(u32),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is longer than any key.
    #[error("is longer than {LONGEST_FILE} bytes: this is not a key")]
    TooLong,
    /// The key is too short to be safe.
    #[error("holds less than {SHORTEST_SECRET} bytes: a secret key must be longer")]
    TooShort,
    /// It is not text, or has white space around it or control characters in it.
    #[error("must hold the key alone, as UTF-8 text, with one newline at its end at most")]
    NotAKey,
}

/// Reads a key file; one newline at its end is dropped.
///
/// # Errors
/// Everything that is wrong with it, and nothing of what is in it.
pub fn read_key_file(path: &Path, strictness: Strictness) -> Result<Zeroizing<String>, Vec<KeyFileError>> {
    let (mode, content) = open_and_read(path).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    if strictness == Strictness::Secret && mode & 0o007 != 0 {
        errors.push(KeyFileError::OpenToOthers(mode));
    }
    match parse_key(&content, strictness) {
        Ok(key) if errors.is_empty() => return Ok(key),
        Ok(_) => {}
        Err(error) => errors.push(error),
    }
    Err(errors)
}

/// The mode and the content of one and the same file.
fn open_and_read(path: &Path) -> Result<(u32, Zeroizing<Vec<u8>>), KeyFileError> {
    // Asked before it is opened, because opening a pipe waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(KeyFileError::NotAFile);
    }
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    // Never grows, so that no unwiped copy is left behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST_FILE + 1));
    file.by_ref().take(LONGEST_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok((mode, content))
}

fn parse_key(content: &[u8], strictness: Strictness) -> Result<Zeroizing<String>, KeyFileError> {
    if content.len() > LONGEST_FILE {
        return Err(KeyFileError::TooLong);
    }
    let text = std::str::from_utf8(content).map_err(|_| KeyFileError::NotAKey)?;
    let key = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text);
    if key.is_empty() {
        return Err(KeyFileError::Empty);
    }
    if key.trim() != key || key.chars().any(char::is_control) {
        return Err(KeyFileError::NotAKey);
    }
    if strictness == Strictness::Secret && key.len() < SHORTEST_SECRET {
        return Err(KeyFileError::TooShort);
    }
    Ok(Zeroizing::new(key.to_owned()))
}
