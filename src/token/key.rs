//! The signer, and the one secret type that it is made of.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    claims::{Claims, Nonce},
    encoding::{push_component, push_json},
    mac::MacKey,
    scratch::with_scratch,
};
use crate::hex;

/// What a token or its message takes beside the access key and the uuid, at most, in bytes: 160 and 100 are taken.
const LONGEST_REST: usize = 256;

/// An access key with its secret key's HMAC state, which is computed once and is as secret as the
/// key itself: it is wiped on drop, and `Debug` does not show it.
pub struct SigningKey {
    access_key: Box<str>,
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
        Ok(Self { access_key: access_key.into(), mac: MacKey::new(secret_key) })
    }

    /// The access key: not a secret.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Signs a token. It cannot fail: everything that [`Claims`] can hold can be signed.
    #[must_use]
    pub fn sign(&self, claims: &Claims<'_>, nonce: &Nonce) -> TokenValue {
        // The claims in their order in the token: sorted by name, `sig` between `role` and `uuid`.
        let mut digits = Digits::default();
        let before_sig = [
            (&AK, Some(&*self.access_key)),
            (&EXPIRE_AT, claims.expire_at.map(|at| digits.of(at.get()))),
            (&NONCE, Some(nonce.as_str())),
            (&ROLE, Some(claims.role.claim())),
        ];
        let uuid = (&UUID, claims.scope.uuid());
        let prefix = claims.scope.kind().prefix();

        // Any byte of these takes six at most, as an escape in JSON.
        let variable = self.access_key.len() + claims.scope.uuid().map_or(0, str::len);
        with_scratch(6 * variable + LONGEST_REST, |text| {
            for claim in before_sig.iter().chain([&uuid]) {
                push_json_claim(text, *claim);
            }
            text.extend_from_slice(b"\"}");
            let tag = self.mac.of(text);

            text.clear();
            for claim in before_sig {
                push_pair(text, claim);
            }
            text.extend_from_slice(b"&sig=");
            text.extend_from_slice(tag.map(hex::lower).as_flattened());
            push_pair(text, uuid);

            let mut token = vec![0; prefix.len() + (text.len() * 4).div_ceil(3)];
            let (start, encoded) = token.split_at_mut(prefix.len());
            start.copy_from_slice(prefix.as_bytes());
            // It has room for exactly this, and base64 is text.
            let _ = BASE64_URL_SAFE_NO_PAD.encode_slice(text, encoded);
            TokenValue(Zeroizing::new(String::from_utf8(token).unwrap_or_default()))
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
pub struct TokenValue(Zeroizing<String>);

impl TokenValue {
    /// The token's text: to hand to its user, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same, for an answer: from then on it is the answer's to wipe.
    #[must_use]
    pub fn into_text(mut self) -> String {
        std::mem::take(&mut *self.0)
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

const AK: ClaimName = ClaimName { in_message: b"{\"ak\":\"", in_token: b"ak=" };
const EXPIRE_AT: ClaimName = ClaimName { in_message: b"\",\"expireAt\":\"", in_token: b"&expireAt=" };
const NONCE: ClaimName = ClaimName { in_message: b"\",\"nonce\":\"", in_token: b"&nonce=" };
const ROLE: ClaimName = ClaimName { in_message: b"\",\"role\":\"", in_token: b"&role=" };
const UUID: ClaimName = ClaimName { in_message: b"\",\"uuid\":\"", in_token: b"&uuid=" };

/// A claim that is not there is left out.
type Claim<'a> = (&'a ClaimName, Option<&'a str>);

/// As [`push_message`] writes it.
fn push_json_claim(out: &mut Vec<u8>, (name, value): Claim<'_>) {
    if let Some(value) = value {
        out.extend_from_slice(name.in_message);
        push_json(out, value);
    }
}

fn push_pair(out: &mut Vec<u8>, (name, value): Claim<'_>) {
    if let Some(value) = value {
        out.extend_from_slice(name.in_token);
        push_component(out, value);
    }
}

/// A number in decimal digits, without an allocation.
#[derive(Default)]
struct Digits([u8; 20]);

impl Digits {
    fn of(&mut self, mut number: u64) -> &str {
        let mut first = self.0.len();
        loop {
            first -= 1;
            // The remainder is below ten.
            self.0[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return std::str::from_utf8(&self.0[first..]).unwrap_or_default();
            }
        }
    }
}
