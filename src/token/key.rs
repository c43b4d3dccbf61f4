//! The signer, and the one secret type that it is made of.

use std::{fmt, mem};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    claims::{Claims, Nonce},
    encoding::{push_component, push_json},
    mac::MacKey,
    scratch::{wipe, with_scratch},
};
use crate::hex;

/// What a token or its message takes beside the access key and the uuid, at most, in bytes: 160 and 100 are taken.
const LONGEST_REST: usize = 256;

/// An access key with its secret key's HMAC state, which is computed once and is as secret as the
/// key itself: it is wiped on drop, and `Debug` does not show it.
pub struct SigningKey {
    access_key: Box<str>,
    /// What a message begins with, and a token's text: the access key as each has it.
    in_message: Box<[u8]>,
    in_token: Box<[u8]>,
    mac: MacKey,
}

/// Why a pair of keys cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKey {
    /// The access key is empty.
    EmptyAccessKey,
    /// The secret key is empty.
    EmptySecretKey,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyAccessKey => "the access key is empty",
            Self::EmptySecretKey => "the secret key is empty",
        })
    }
}

impl std::error::Error for InvalidKey {}

impl SigningKey {
    /// Takes an access key and the bytes of its secret key.
    ///
    /// # Errors
    /// [`InvalidKey`] if either is empty. Any other length signs; the caller checks whether a
    /// key is long enough to be safe.
    pub fn new(access_key: &str, secret_key: &[u8]) -> Result<Self, InvalidKey> {
        if access_key.is_empty() {
            return Err(InvalidKey::EmptyAccessKey);
        }
        if secret_key.is_empty() {
            return Err(InvalidKey::EmptySecretKey);
        }
        let (mut in_message, mut in_token) = (b"{\"ak\":\"".to_vec(), b"ak=".to_vec());
        push_json(&mut in_message, access_key);
        push_component(&mut in_token, access_key);
        Ok(Self {
            access_key: access_key.into(),
            in_message: in_message.into(),
            in_token: in_token.into(),
            mac: MacKey::new(secret_key),
        })
    }

    /// The access key: not a secret.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Signs a token. It cannot fail: everything that [`Claims`] can hold can be signed.
    #[must_use]
    pub fn sign(&self, claims: &Claims<'_>, nonce: &Nonce) -> TokenValue {
        // The claims in their order in the token: sorted by name, `sig` between `role` and `uuid`. In neither form is
        // a character of these an escape; a claim that is not there is left out.
        let mut digits = Digits::default();
        let before_sig = [
            (&EXPIRE_AT, claims.expire_at.map_or("", |at| digits.of(at.get()))),
            (&NONCE, nonce.as_str()),
            (&ROLE, claims.role.claim()),
        ];
        let before_sig = &before_sig[usize::from(claims.expire_at.is_none())..];
        let uuid = claims.scope.uuid();
        let prefix = claims.scope.kind().prefix();

        // Any byte of a uuid takes six at most, as an escape in JSON.
        let variable = self.in_message.len().max(self.in_token.len()) + 6 * uuid.map_or(0, str::len);
        with_scratch(variable + LONGEST_REST, |text| {
            text.extend_from_slice(&self.in_message);
            for (name, value) in before_sig {
                text.extend_from_slice(name.in_message);
                text.extend_from_slice(value.as_bytes());
            }
            if let Some(uuid) = uuid {
                text.extend_from_slice(UUID.in_message);
                push_json(text, uuid);
            }
            text.extend_from_slice(b"\"}");
            let tag = self.mac.of(text);

            text.clear();
            text.extend_from_slice(&self.in_token);
            for (name, value) in before_sig {
                text.extend_from_slice(name.in_token);
                text.extend_from_slice(value.as_bytes());
            }
            text.extend_from_slice(b"&sig=");
            text.extend_from_slice(tag.map(hex::lower).as_flattened());
            if let Some(uuid) = uuid {
                text.extend_from_slice(UUID.in_token);
                push_component(text, uuid);
            }

            let mut token = vec![0; prefix.len() + (text.len() * 4).div_ceil(3)];
            let (start, encoded) = token.split_at_mut(prefix.len());
            start.copy_from_slice(prefix.as_bytes());
            // It has room for exactly this, and base64 is text.
            let _ = BASE64_URL_SAFE_NO_PAD.encode_slice(text, encoded);
            TokenValue(String::from_utf8(token).unwrap_or_default())
        })
    }

    /// Whether another key has the same access key and the same secret key.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.access_key == other.access_key && self.has_secret_of(other)
    }

    /// Whether another key has the same secret key, in a time that does not depend on either.
    #[must_use]
    pub fn has_secret_of(&self, other: &Self) -> bool {
        self.verifies(b"", &Tag(other.mac.of(b"")))
    }

    /// Whether its access key is another key's secret key: two files were swapped.
    #[must_use]
    pub fn is_named_by_secret_of(&self, other: &Self) -> bool {
        other.verifies(b"", &Tag(MacKey::new(self.access_key.as_bytes()).of(b"")))
    }

    /// Whether `tag` is this key's MAC over `message`, in a time that does not depend on where
    /// they differ.
    pub(super) fn verifies(&self, message: &[u8], tag: &Tag) -> bool {
        self.mac.verifies(message, &tag.0)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// A signature that came from outside. It has no `PartialEq`, so that it can only be compared by
/// the key, in constant time.
pub(super) struct Tag(pub(super) [u8; 32]);

/// A signed token: a secret, wiped on drop.
pub struct TokenValue(String);

impl TokenValue {
    /// The token's text: to hand to its user, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same, for an answer: from then on it is the answer's to wipe.
    #[must_use]
    pub fn into_text(mut self) -> String {
        mem::take(&mut self.0)
    }
}

impl Drop for TokenValue {
    fn drop(&mut self) {
        wipe(&mut mem::take(&mut self.0).into_bytes());
    }
}

impl fmt::Debug for TokenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenValue(***)")
    }
}

/// Appends what is signed: a JSON object without white space.
pub(super) fn push_message<'a>(out: &mut Vec<u8>, claims: impl Iterator<Item = (&'a str, &'a str)>) {
    for (index, (name, value)) in claims.enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"" } else { b",\"" });
        push_json(out, name);
        out.extend_from_slice(b"\":\"");
        push_json(out, value);
        out.push(b'"');
    }
    out.push(b'}');
}

/// A claim's name with all that stands before its value. Few long pieces are appended faster than many short ones.
struct ClaimName {
    in_message: &'static [u8],
    in_token: &'static [u8],
}

const EXPIRE_AT: ClaimName = ClaimName { in_message: b"\",\"expireAt\":\"", in_token: b"&expireAt=" };
const NONCE: ClaimName = ClaimName { in_message: b"\",\"nonce\":\"", in_token: b"&nonce=" };
const ROLE: ClaimName = ClaimName { in_message: b"\",\"role\":\"", in_token: b"&role=" };
const UUID: ClaimName = ClaimName { in_message: b"\",\"uuid\":\"", in_token: b"&uuid=" };

/// A number in decimal digits, without an allocation.
#[derive(Default)]
struct Digits([u8; 20]);

impl Digits {
    fn of(&mut self, mut number: u64) -> &str {
        let (pairs, _) = self.0.as_chunks_mut();
        let mut first = pairs.len();
        loop {
            first -= 1;
            // A pair is below a hundred, so each of its digits is below ten.
            let pair = (number % 100) as u8;
            pairs[first] = [b'0' + pair / 10, b'0' + pair % 10];
            number /= 100;
            if number == 0 {
                break;
            }
        }
        let start = 2 * first + usize::from(pairs[first][0] == b'0');
        std::str::from_utf8(&self.0[start..]).unwrap_or_default()
    }
}
