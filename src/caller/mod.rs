//! Who is calling: a token, an API key or a certificate in, one [`Principal`] out. Nothing below
//! this knows which of them it was.
//!
//! Every caller that cannot be identified is told the same. Why is counted, and logged at debug;
//! never with anything of what was presented.

mod api_keys;
mod cause;
mod certificate;
mod fetch;
mod jwk;
mod jwks;
mod jwt;
mod settings;
mod unauthenticated;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

pub use self::{
    api_keys::{ApiKeys, Digest, NewKey},
    settings::{Identity, IssuerSettings, Settings},
};
use self::{
    cause::Cause, certificate::Certificates, jwks::Jwks, jwt::Token, unauthenticated::Unauthenticated,
};
use crate::{clock::Clock, principal::Principal, reload::Reload, telemetry::Metrics};

/// How often issuers' keys are fetched.
pub const JWKS_INTERVAL: Duration = Duration::from_mins(5);

/// Where an API key is.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest credential, in bytes.
const LONGEST_CREDENTIAL: usize = 8 * 1024;

/// A caller cannot be identified: by no credential, or by one that is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller is unknown: a valid token, API key or client certificate is needed")]
pub struct Unknown;

/// Identifies callers.
pub struct Callers {
    api_keys: Option<Arc<ApiKeys>>,
    issuers: Vec<Jwks>,
    certificates: Certificates,
    unauthenticated: Unauthenticated,
    clock: Arc<dyn Clock>,
}

impl Callers {
    /// Issuers' keys are fetched by [`Callers::run`]; until they are there, tokens authenticate nobody.
    #[must_use]
    pub fn new(identity: Identity, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let issuer = |settings| Jwks::new(settings, &identity.route, clock.clone(), metrics);
        Self {
            api_keys: identity.api_keys,
            issuers: identity.issuers.into_iter().map(issuer).collect(),
            certificates: identity.certificates,
            unauthenticated: Unauthenticated::new(clock.clone(), metrics),
            clock,
        }
    }

    /// What is made of files that may change, for [`crate::reload::run`].
    #[must_use]
    pub fn reloads(&self) -> Vec<Arc<dyn Reload>> {
        self.api_keys.iter().map(|keys| keys.clone() as Arc<dyn Reload>).collect()
    }

    /// Keeps issuers' keys fresh until `end`: fetches them at once and then every `interval`,
    /// sooner after a failure.
    pub async fn run(&self, interval: Duration, end: CancellationToken) {
        let all = join_all(self.issuers.iter().map(|issuer| issuer.run(interval)));
        end.run_until_cancelled(all).await;
        // Without issuers there is nothing to do.
        end.cancelled().await;
    }

    /// Who is calling, from a call's headers and the certificates of its connection, the caller's
    /// own first. A credential in the headers takes precedence over the certificate, also if it is
    /// invalid.
    ///
    /// It waits only for a token whose key is not known yet, and at most 6 seconds.
    ///
    /// # Errors
    /// [`Unknown`].
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> Result<Principal, Unknown> {
        let leaf = certificates.and_then(<[_]>::first);
        let result = match (Credential::of(headers), leaf) {
            (Err(cause), _) => Err(cause),
            (Ok(Some(Credential::Jwt(token))), _) => self.by_token(token).await,
            (Ok(Some(Credential::ApiKey(key))), _) => self.by_api_key(key),
            (Ok(None), Some(leaf)) => self.certificates.identify(leaf, self.clock.now()),
            (Ok(None), None) => Err(Cause::NoCredential),
        };
        result.map_err(|cause| self.refuse(cause))
    }

    fn by_api_key(&self, key: &[u8]) -> Result<Principal, Cause> {
        self.api_keys.as_ref().and_then(|keys| keys.find(key)).ok_or(Cause::ApiKeyUnknown)
    }

    async fn by_token(&self, token: &str) -> Result<Principal, Cause> {
        let token = Token::new(token)?;
        let (name, claims) = (token.key_name()?, token.claims()?);
        let issuer = self.issuers.iter().find(|issuer| issuer.settings().issuer == claims.iss);
        let issuer = issuer.ok_or(Cause::IssuerUnknown)?;
        claims.check(&issuer.settings().audience, self.clock.now())?;
        let principal = issuer.settings().principal(&claims.sub)?;

        let mut key = issuer.find(&name.kid, name.algorithm);
        if matches!(key, Err(Cause::KeyUnknown | Cause::KeysUnavailable)) {
            // Boxed: its future is large, and every call would carry the room for it.
            if !Box::pin(issuer.renew()).await {
                return Err(Cause::RateLimited);
            }
            key = issuer.find(&name.kid, name.algorithm);
        }
        token.verify(name.algorithm, &*key?)?;
        Ok(principal)
    }

    /// Counts the call against the rate limit of unauthenticated callers, unless an issuer was asked: that has a limit of
    /// its own.
    fn refuse(&self, cause: Cause) -> Unknown {
        let cause = match cause {
            Cause::RateLimited | Cause::KeyUnknown | Cause::KeysUnavailable => cause,
            cause if self.unauthenticated.take() => cause,
            // Nothing was looked up, and nothing will be.
            Cause::NoCredential | Cause::SeveralCredentials | Cause::Malformed | Cause::IssuerUnknown => {
                Cause::RateLimited
            }
            cause => cause,
        };
        self.unauthenticated.count(cause);
        if cause != Cause::RateLimited {
            tracing::debug!(cause = cause.as_str(), "a caller was not authenticated");
        }
        Unknown
    }
}

impl IssuerSettings {
    fn principal(&self, subject: &str) -> Result<Principal, Cause> {
        let text = if self.kubernetes {
            let account =
                subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
            let (namespace, name) = account.ok_or(Cause::Subject)?;
            format!("k8s:{namespace}/{name}")
        } else {
            format!("oidc:{}/{subject}", self.name)
        };
        text.parse().map_err(|_| Cause::Subject)
    }
}

/// What a caller presents. It is a secret.
enum Credential<'a> {
    Jwt(&'a str),
    ApiKey(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// The one credential; `None` if there is none. Several are ambiguous.
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Cause> {
        let mut tokens = headers.get_all(AUTHORIZATION).iter();
        let mut keys = headers.get_all(API_KEY).iter();
        match (tokens.next(), keys.next()) {
            (None, None) => Ok(None),
            (Some(token), None) if tokens.next().is_none() => bearer(token.as_bytes()).map(Some),
            (None, Some(key)) if keys.next().is_none() => match key.as_bytes() {
                key if (1..=LONGEST_CREDENTIAL).contains(&key.len()) => Ok(Some(Self::ApiKey(key))),
                _ => Err(Cause::Malformed),
            },
            _ => Err(Cause::SeveralCredentials),
        }
    }
}

/// The token of `Bearer …`; the scheme is written in any case, RFC 9110, section 11.1.
fn bearer(header: &[u8]) -> Result<Credential<'_>, Cause> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= LONGEST_CREDENTIAL);
    match text.and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Credential::Jwt(token.trim())),
        _ => Err(Cause::Malformed),
    }
}
