//! The credential in a call's headers.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

use super::Cause;

/// Where an API key is.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest credential, in bytes.
const LONGEST: usize = 8 * 1024;

/// What a caller presents. It is a secret.
pub(super) enum Credential<'a> {
    Jwt(&'a str),
    ApiKey(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// The one credential; `None` if there is none. Of several nobody could say which is meant.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Cause> {
        let mut tokens = headers.get_all(AUTHORIZATION).iter();
        let mut keys = headers.get_all(API_KEY).iter();
        match (tokens.next(), keys.next()) {
            (None, None) => Ok(None),
            (Some(token), None) if tokens.next().is_none() => bearer(token.as_bytes()).map(Some),
            (None, Some(key)) if keys.next().is_none() => match key.as_bytes() {
                key if (1..=LONGEST).contains(&key.len()) => Ok(Some(Self::ApiKey(key))),
                _ => Err(Cause::Malformed),
            },
            _ => Err(Cause::SeveralCredentials),
        }
    }
}

/// The token of `Bearer …`; the scheme is written in any case, RFC 9110, section 11.1.
fn bearer(header: &[u8]) -> Result<Credential<'_>, Cause> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= LONGEST);
    match text.and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Credential::Jwt(token.trim())),
        _ => Err(Cause::Malformed),
    }
}
