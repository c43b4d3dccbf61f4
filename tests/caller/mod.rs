//! Who is calling: fault cases 33, 34 and 35, with real keys, files, certificates and issuers.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use inkpass::{
    caller::{Callers, IssuerSettings, Settings, Unknown},
    clock::{ManualClock, UnixMillis},
    principal::Principal,
    telemetry::Metrics,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::helpers::{NOW, until};

mod api_keys;
mod certificates;
mod flood;
mod issuer;
mod jwks;
mod jwt;
mod logs;
mod settings;

use self::issuer::{Issuer, Signer};

/// Longer than any test: only what is asked for is fetched.
const NEVER: Duration = Duration::from_hours(1);

const AUDIENCE: &str = "inkpass";

/// Seconds since 1970, as the clock of [`World`] says at first.
const TODAY: i64 = (NOW / 1000).cast_signed();

/// Callers whose issuers are real servers, on a clock that stands still.
struct World {
    callers: Arc<Callers>,
    clock: Arc<ManualClock>,
    metrics: Metrics,
    end: CancellationToken,
}

impl World {
    fn start(settings: &Settings) -> Self {
        let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
        let metrics = Metrics::new([]).unwrap();
        let callers = Arc::new(Callers::new(settings.clone().load().unwrap(), clock.clone(), &metrics));
        let end = CancellationToken::new();
        let (running, ended) = (callers.clone(), end.clone());
        tokio::spawn(async move { running.run(NEVER, ended).await });
        Self { callers, clock, metrics, end }
    }

    /// With one cluster, whose keys are there.
    async fn of(issuer: &Issuer) -> Self {
        Self::with(issuer, Settings::default()).await
    }

    /// With one cluster, whose keys are there, beside other settings.
    async fn with(issuer: &Issuer, settings: Settings) -> Self {
        let world = Self::start(&Settings { issuers: vec![issuer.settings()], ..settings });
        world.fetched("ok", 1).await;
        world
    }

    /// Waits until the first issuer's keys were fetched so often with this result.
    async fn fetched(&self, result: &str, times: u64) {
        let name = format!("inkpass_jwks_fetches_total{{issuer=\"cluster\",result=\"{result}\"}}");
        until(async || self.metric(&name) >= times).await;
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" 0");
        line.trim().parse().unwrap()
    }

    /// How many callers were unknown for this cause.
    fn count(&self, cause: &str) -> u64 {
        self.metric(&format!("inkpass_callers_unknown_total{{cause=\"{cause}\"}}"))
    }

    async fn identify(&self, headers: &[(&'static str, &str)]) -> Result<Principal, Unknown> {
        self.callers.identify(&header_map(headers), None).await
    }

    async fn by_token(&self, token: &str) -> Result<Principal, Unknown> {
        self.identify(&[("authorization", &format!("Bearer {token}"))]).await
    }

    async fn by_certificate(&self, certificate: &CertificateDer<'static>) -> Result<Principal, Unknown> {
        self.callers.identify(&HeaderMap::new(), Some(std::slice::from_ref(certificate))).await
    }

    /// The one answer of all unknown callers, and its cause for the operator.
    #[track_caller]
    fn assert_unknown(&self, what: &str, result: &Result<Principal, Unknown>, cause: &str, before: u64) {
        assert_eq!(*result, Err(Unknown), "{what}");
        let answer = "the caller is unknown: a valid token, API key or client certificate is needed";
        assert_eq!(result.as_ref().unwrap_err().to_string(), answer, "{what}");
        assert_eq!(self.count(cause), before + 1, "{what}: {}", self.metrics.render());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn header_map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    headers.iter().map(pair).collect()
}

/// What a token for `system:serviceaccount:classroom:api` says that is good for ten minutes.
fn claims(issuer: &Issuer) -> Value {
    json!({
        "iss": issuer.name(),
        "sub": "system:serviceaccount:classroom:api",
        "aud": [AUDIENCE],
        "iat": TODAY,
        "nbf": TODAY,
        "exp": TODAY + 600,
    })
}

/// `value` with some fields set, or taken away where they are null.
fn but(mut value: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields} is no object") };
    for (name, field) in fields {
        match field {
            Value::Null => value.as_object_mut().unwrap().remove(&name),
            field => value.as_object_mut().unwrap().insert(name, field),
        };
    }
    value
}
