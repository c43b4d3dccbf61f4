//! One HTTP call: the token made, the headers set, the answer read up to its limit.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Method, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{
    Access, Error,
    answer::{self, Effect, Received},
};
use crate::{
    clock::{Clock, UnixMillis},
    entropy::Entropy,
    token::{Claims, Kind, Nonce, Permission, Scope, TokenValue, Uuid},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Below the upstream's own, so that a connection is seldom used while it is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const TOKEN_TTL: Duration = Duration::from_mins(1);
const LONGEST_ANSWER: usize = 1024 * 1024;

pub(super) struct Transport {
    http: Client,
    base_url: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What to send.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// What follows the base URL, `/v5/…`.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What the call's token must permit.
    pub(super) permission: Permission,
    /// The room or task that the call is about: what the token is bound to where a Room or Task
    /// token will do.
    pub(super) uuid: Option<Uuid<'a>>,
}

impl Transport {
    pub(super) fn new(
        base_url: &Url,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, reqwest::Error> {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .user_agent(concat!("inkpass/", env!("CARGO_PKG_VERSION")));
        // Plaintext is for an emulator nearby: it needs no CA roots, which an image may not have,
        // and must not go through a proxy.
        let builder =
            if base_url.scheme() == "http" { builder.tls_certs_only([]).no_proxy() } else { builder };
        let base_url = base_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http: builder.build()?, base_url, clock, entropy })
    }

    /// Sends a call and reads its answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        access: Access<'_>,
        call: Call<'_>,
    ) -> Result<T, Error> {
        // Only a POST or PATCH may have acted without our knowing.
        let effect = if call.method == Method::GET { Effect::None } else { Effect::Possible };
        let path = call.path.clone();
        let received = self.exchange(access, call, effect).await;
        received.and_then(|received| answer::read(&received, effect)).inspect_err(|error| {
            if let Some(detail) = error.detail() {
                tracing::warn!(http.path = path, upstream.detail = detail, "an upstream call failed");
            }
        })
    }

    async fn exchange(&self, access: Access<'_>, call: Call<'_>, effect: Effect) -> Result<Received, Error> {
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base_url, call.path))
            .header("token", sensitive(&self.token(access, &call)))
            .header("region", access.region.as_str());
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| answer::broken(&error, effect))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| answer::broken(&error, effect))? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Error::UnexpectedAnswer {
                    effect,
                    detail: "an answer of more than 1 MiB".into(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Received { status: response.status(), retry_after: retry_after.map(Duration::from_secs), body })
    }

    /// The weakest token that permits the call, alive for one minute.
    fn token(&self, access: Access<'_>, call: &Call<'_>) -> TokenValue {
        let (kind, role) = call.permission.weakest_token();
        let scope = match (kind, call.uuid) {
            (Kind::Room, Some(uuid)) => Scope::Room(uuid),
            (Kind::Task, Some(uuid)) => Scope::Task(uuid),
            _ => Scope::Sdk,
        };
        let expire_at = self.clock.now().checked_add(TOKEN_TTL).unwrap_or(UnixMillis::MAX);
        let claims = Claims { scope, role, expire_at: Some(expire_at) };
        access.key.sign(&claims, &Nonce::random(self.entropy.bytes()))
    }
}

/// A header that no log shows and HPACK does not index.
fn sensitive(token: &TokenValue) -> http::HeaderValue {
    let mut value = http::HeaderValue::try_from(token.expose()).unwrap_or(http::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
