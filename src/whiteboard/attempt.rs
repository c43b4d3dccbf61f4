//! One attempt of a call: the request sent, and its answer read up to its limit.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header::DATE};
use reqwest::Response;
use tokio::time::sleep_until;
use tracing::{Instrument, Span, field::Empty};

use super::{
    answer::{self, Received},
    breaker::PATIENCE,
    call::{Request, SHORTEST_WAIT, Signed},
    error::{Effect, Error},
    fault::Fault,
    gate::Gate,
    hosts::{Host, Hosts},
};
use crate::{
    retry_after::retry_after,
    stability::Stability,
    telemetry::{UpstreamMetrics, UpstreamStatus, is_traced, trace_headers, traced_span},
    token::TokenValue,
};

const LONGEST_ANSWER: usize = 1024 * 1024;

/// Makes single attempts.
pub(super) struct Attempts {
    pub(super) hosts: Hosts,
    pub(super) stability: Arc<Stability>,
    pub(super) metrics: UpstreamMetrics,
    /// Whether attempts say which trace they are part of.
    pub(super) propagates: bool,
}

/// What became of one attempt.
pub(super) struct Attempt {
    pub(super) result: Result<Received, Error>,
    pub(super) fault: Option<Fault>,
    /// `None`: nothing was sent.
    status: Option<UpstreamStatus>,
    /// What the vendor asks for.
    pub(super) pause: Option<Duration>,
}

/// Why there is no answer.
enum Broken {
    /// Its caller leaves too soon: nothing was sent.
    Kept,
    TooLong,
    Http(reqwest::Error),
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Attempts {
    /// The `nth` attempt, 1 the first, as a span of its own: names follow OpenTelemetry's conventions for HTTP clients.
    pub(super) async fn make(&self, call: &Signed, nth: u32, limit: Duration) -> Attempt {
        let (request, host) = (&call.request, self.hosts.of(call.region));
        let span = traced_span!(
            "upstream",
            otel.name = format!("{} {}", request.method, request.template),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = request.method.as_str(),
            http.request.resend_count = (nth > 1).then(|| nth - 1),
            http.response.status_code = Empty,
            network.protocol.version = Empty,
            url.template = request.template,
            url.full = format!("{}{}", host.base_url, request.path),
            server.address = host.name,
            server.port = host.port,
            error.r#type = Empty,
        );
        call.begin(nth);
        let timer = self.metrics.begin(call.region, request.rpc, nth, PATIENCE);
        let attempt = self.attempt(call, host, limit).instrument(span.clone()).await;
        timer.end(attempt.status);
        if let Err(error) = &attempt.result {
            let status = call.last().status.filter(|status| *status >= 400);
            match status {
                Some(status) => span.record("error.type", tracing::field::display(status)),
                None => span.record("error.type", error.name()),
            };
            span.record("otel.status_code", "ERROR");
        }
        attempt
    }

    async fn attempt(&self, call: &Signed, host: &Host, limit: Duration) -> Attempt {
        let effect = Effect::of(call.request.rpc);
        let failed = |error, fault, status| Attempt { result: Err(error), fault, status, pause: None };
        match self.receive(call, host, limit).await {
            Ok(received) => {
                call.answered(&received);
                let fault = Fault::of(received.status);
                let status = Some(UpstreamStatus::of(received.status.as_u16()));
                // 503 may ask for one too.
                let pause = received.retry_after.filter(|_| matches!(received.status.as_u16(), 429 | 503));
                let result = match (answer::check(received, effect, call.request.resource), pause) {
                    (Err(Error::Unreachable { detail }), Some(retry_after)) => {
                        Err(Error::Paused { detail, retry_after })
                    }
                    (result, _) => result,
                };
                Attempt { result, fault, status, pause }
            }
            Err(Broken::Kept) => failed(Error::TooLate, None, None),
            Err(Broken::TooLong) => {
                let detail = "an answer of more than 1 MiB".to_owned();
                failed(answer::unusable(effect, detail), Some(Fault::Broken), Some(UpstreamStatus::Broken))
            }
            Err(Broken::Http(error)) => {
                let fault = Fault::of_error(&error);
                let status = match fault {
                    Fault::Connect => UpstreamStatus::Connect,
                    _ if error.is_timeout() => UpstreamStatus::Timeout,
                    _ => UpstreamStatus::Broken,
                };
                failed(answer::broken(&error, fault, effect), Some(fault), Some(status))
            }
        }
    }

    /// An answer, whole.
    async fn receive(&self, call: &Signed, host: &Host, limit: Duration) -> Result<Received, Broken> {
        let mut response = self.send(call, host, limit).await?;
        let span = Span::current();
        span.record("http.response.status_code", response.status().as_u16());
        span.record("network.protocol.version", version(response.version()));
        self.note_skew(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Broken::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let now = self.stability.wall_time().system_time();
        // No pause at all says nothing of when to come again: a caller that is told so would come at once, and again.
        let retry_after = retry_after(response.headers(), now).filter(|pause| !pause.is_zero());
        Ok(Received::new(response.status(), retry_after, body.into()))
    }

    /// Sends a request, and waits for its answer's headers. What changes something does not begin to leave once its caller has
    /// less than [`SHORTEST_WAIT`] left.
    async fn send(&self, call: &Signed, host: &Host, limit: Duration) -> Result<Response, Broken> {
        let Request { method, path, body, .. } = &call.request;
        let request = host
            .http
            .request(method.clone(), format!("{}{path}", host.base_url))
            .timeout(limit)
            .header("token", sensitive(&call.token))
            .header("region", call.region.as_str());
        let request = if self.propagates && is_traced() {
            request.headers(trace_headers(&Span::current()))
        } else {
            request
        };
        if call.is_read() {
            return Ok(host.thread.connect(request.send()).await?);
        }
        let gate = Gate::default();
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(gate.body(body.to_string().into()))
            }
            None => request.body(gate.body(Bytes::new())),
        };
        let mut sent = pin!(host.thread.connect(request.send()));
        if let Some(deadline) = call.deadline() {
            let last_moment = deadline.checked_sub(SHORTEST_WAIT).unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                response = &mut sent => return Ok(response?),
                () = sleep_until(last_moment.into()) => {}
            }
            if gate.close() {
                return Err(Broken::Kept);
            }
        }
        Ok(sent.await?)
    }

    /// Our clock sets when tokens expire, and theirs decides whether they have.
    fn note_skew(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let theirs = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        if let Some(theirs) = theirs.and_then(|theirs| i64::try_from(theirs.as_secs()).ok()) {
            let ours = self.stability.wall_time().get() / 1000;
            self.metrics.set_clock_skew(theirs - ours.cast_signed());
        }
    }
}

/// As OpenTelemetry's conventions write it.
const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// A header marked sensitive: logs do not show it, and HPACK does not index it.
fn sensitive(token: &TokenValue) -> HeaderValue {
    let mut value = HeaderValue::try_from(token.expose()).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
