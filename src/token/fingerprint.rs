//! A name for a token that is safe to log.

use std::fmt;

use super::mac::MacKey;
use crate::hex;

/// Makes fingerprints under one salt. Without the salt a fingerprint cannot be matched to a token.
#[derive(Clone)]
pub struct Fingerprinter(MacKey);

/// The first 16 bytes of HMAC-SHA256(salt, token), shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// Takes a salt of any length: random, and the same everywhere that fingerprints are compared.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self(MacKey::new(salt))
    }

    /// The fingerprint of a token.
    #[must_use]
    pub fn of(&self, token: &str) -> Fingerprint {
        let mut first = [0; 16];
        first.copy_from_slice(&self.0.of(token.as_bytes())[..16]);
        Fingerprint(first)
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(***)")
    }
}

/// A precision gives the first digits alone.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
