//! A token, taken apart and judged. Which issuer and key it is judged by is not decided here.
//!
//! What it says is read before its signature is verified: what cannot be right by what it says
//! itself costs neither a verification nor a look-up.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, de::IgnoredAny};

use super::Cause;
use crate::clock::UnixMillis;

/// How far an issuer's clock may be from ours.
const SKEW: Duration = Duration::from_mins(1);

/// A token in its parts, decoded.
pub(super) struct Token<'a> {
    header: Vec<u8>,
    claims: Vec<u8>,
    /// What is signed.
    message: &'a str,
    signature: &'a str,
}

/// RFC 7515, section 4.1; what else is in it decides nothing.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    /// Names what must be understood; nothing of that kind is.
    crit: Option<IgnoredAny>,
}

/// What names a key.
pub(super) struct KeyName<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Cow<'a, str>,
}

/// RFC 7519, section 4.1. A claim that stands in it twice makes it malformed.
#[derive(Deserialize)]
pub(super) struct Claims<'a> {
    #[serde(borrow)]
    pub(super) iss: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sub: Cow<'a, str>,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience<'a> {
    #[serde(borrow)]
    One(Cow<'a, str>),
    #[serde(borrow)]
    Several(Vec<Cow<'a, str>>),
}

impl<'a> Token<'a> {
    pub(super) fn new(token: &'a str) -> Result<Self, Cause> {
        let (message, signature) = token.rsplit_once('.').ok_or(Cause::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Cause::Malformed)?;
        // A dot left over is none of base64's signs.
        let decode = |part| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Cause::Malformed);
        Ok(Self { header: decode(header)?, claims: decode(claims)?, message, signature })
    }

    /// What it is signed with. No other algorithm is ever used.
    pub(super) fn key_name(&self) -> Result<KeyName<'_>, Cause> {
        let header: Header<'_> = serde_json::from_slice(&self.header).map_err(|_| Cause::Malformed)?;
        let algorithm = match &*header.alg {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => return Err(Cause::Algorithm),
        };
        if header.crit.is_some() {
            return Err(Cause::Malformed);
        }
        Ok(KeyName { algorithm, kid: header.kid })
    }

    pub(super) fn claims(&self) -> Result<Claims<'_>, Cause> {
        serde_json::from_slice(&self.claims).map_err(|_| Cause::Malformed)
    }

    pub(super) fn verify(&self, algorithm: Algorithm, key: &DecodingKey) -> Result<(), Cause> {
        match jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, algorithm) {
            Ok(true) => Ok(()),
            _ => Err(Cause::Signature),
        }
    }
}

impl Claims<'_> {
    /// Whether it is meant for `audience`, now.
    pub(super) fn check(&self, audience: &str, now: UnixMillis) -> Result<(), Cause> {
        let is_for_us = match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        };
        if !is_for_us {
            return Err(Cause::Audience);
        }
        let now = Duration::from_millis(now.get());
        if now >= date(self.exp)?.saturating_add(SKEW) {
            return Err(Cause::Expired);
        }
        for beginning in [self.nbf, self.iat].into_iter().flatten() {
            if date(beginning)? > now + SKEW {
                return Err(Cause::NotYetValid);
            }
        }
        Ok(())
    }
}

/// Seconds since 1970, which may be a fraction: RFC 7519, section 2, `NumericDate`.
fn date(seconds: f64) -> Result<Duration, Cause> {
    Duration::try_from_secs_f64(seconds).map_err(|_| Cause::Malformed)
}
