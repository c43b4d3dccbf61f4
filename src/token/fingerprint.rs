//! A name for a token that is safe to log.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::encoding::push_hex;

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Makes fingerprints under one salt. Without the salt nobody can tell which token one is of.
#[derive(Clone)]
pub struct Fingerprinter(Hmac<Sha256>);

/// The first 16 bytes of HMAC-SHA256(salt, token), shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// Takes a salt of any length: random, and the same wherever fingerprints are to be compared.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        // HMAC hashes a long key and pads a short one with zeros to a block, which cannot be refused.
        let mut block = Zeroizing::new([0; BLOCK]);
        if salt.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(salt));
        } else {
            block[..salt.len()].copy_from_slice(salt);
        }
        Self(Hmac::new((&*block).into()))
    }

    /// The fingerprint of a token.
    #[must_use]
    pub fn of(&self, token: &str) -> Fingerprint {
        let tag = self.0.clone().chain_update(token).finalize().into_bytes();
        let mut first = [0; 16];
        first.copy_from_slice(&tag[..16]);
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
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &self.0);
        f.pad(&text)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
