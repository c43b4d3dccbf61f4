//! Reads key files.

use std::path::Path;

use zeroize::Zeroizing;

use crate::file::{FileError, OpenFile};

/// The shortest secret key that `serve` takes, in bytes.
pub const SHORTEST_SECRET: usize = 16;

/// The longest key file, in bytes.
const LONGEST_FILE: u64 = 4096;

/// How strictly a key file is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Any file that holds a key: for access keys, and for the offline commands.
    Public,
    /// Closed to other users, and long enough: for secret keys.
    Secret,
}

/// Why a key file is rejected.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read, is no file, is open to others, or is longer than any key.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// The key is too short to be safe.
    #[error("holds less than {SHORTEST_SECRET} bytes, which is too short for a secret")]
    TooShort,
    /// There is a byte order mark in it, which would be a part of the key.
    #[error("holds a byte order mark: save it as plain UTF-8, without one")]
    ByteOrderMark,
    /// It is not UTF-8, or has white space around the key or control characters in it.
    #[error("must hold one line of UTF-8 text alone, with one newline at its end at most")]
    NotAKey,
}

/// Reads a key file; one newline at its end is dropped.
///
/// # Errors
/// Every mistake, without the file's content.
pub fn read_key_file(path: &Path, strictness: Strictness) -> Result<Zeroizing<String>, Vec<KeyFileError>> {
    let open = OpenFile::open(path).map_err(|error| vec![error.into()])?;
    let is_closed = if strictness == Strictness::Secret { open.check_closed() } else { Ok(()) };
    let mut errors: Vec<KeyFileError> = is_closed.err().into_iter().map(Into::into).collect();
    match open.read(LONGEST_FILE).map_err(Into::into).and_then(|content| parse_key(&content, strictness)) {
        Ok(key) if errors.is_empty() => return Ok(key),
        Ok(_) => {}
        Err(error) => errors.push(error),
    }
    Err(errors)
}

fn parse_key(content: &[u8], strictness: Strictness) -> Result<Zeroizing<String>, KeyFileError> {
    // Of UTF-8, and of UTF-16 in either order.
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| content.starts_with(mark)) {
        return Err(KeyFileError::ByteOrderMark);
    }
    let text = std::str::from_utf8(content).map_err(|_| KeyFileError::NotAKey)?;
    let key = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text);
    if key.is_empty() {
        return Err(KeyFileError::Empty);
    }
    if key.contains('\u{feff}') {
        return Err(KeyFileError::ByteOrderMark);
    }
    if key.trim() != key || key.chars().any(char::is_control) {
        return Err(KeyFileError::NotAKey);
    }
    if strictness == Strictness::Secret && key.len() < SHORTEST_SECRET {
        return Err(KeyFileError::TooShort);
    }
    Ok(Zeroizing::new(key.to_owned()))
}
