//! Random UUIDs: RFC 9562, version 4.

use crate::hex;

/// A UUID in its dashed lower-case form: a token's nonce, a request id, a key of the command `dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid4([u8; 36]);

impl Uuid4 {
    /// A version 4 UUID from 16 random bytes, of which it keeps 122 bits.
    #[must_use]
    pub const fn random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self::from_bytes(bytes)
    }

    /// The UUID of exactly these bytes, of any version: for test vectors.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut text = [b'-'; 36];
        let (mut from, mut to) = (0, 0);
        while from < 16 {
            if matches!(to, 8 | 13 | 18 | 23) {
                to += 1;
            }
            [text[to], text[to + 1]] = hex::lower(bytes[from]);
            from += 1;
            to += 2;
        }
        Self(text)
    }

    /// The UUID's text, ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
