//! A name for a token that is safe to log.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac, digest::Key};
use sha2::Sha256;

use super::encoding::push_hex;

/// Makes fingerprints under one salt. Without the salt nobody can tell which token one is of.
#[derive(Clone)]
pub struct Fingerprinter(Hmac<Sha256>);

/// The first 16 bytes of HMAC-SHA256(salt, token), shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// Takes a salt: random, and the same wherever fingerprints are to be compared.
    #[must_use]
    pub fn new(salt: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to a block; a whole block cannot be refused.
        let mut block = Key::<Hmac<Sha256>>::default();
        block[..salt.len()].copy_from_slice(salt);
        Self(Hmac::new(&block))
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

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &self.0);
        f.write_str(&text)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
