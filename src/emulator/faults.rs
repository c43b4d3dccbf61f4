//! Fault injection: what a broken upstream or network does to a call.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_stream::Stream;

use super::answer::ApiError;

/// The faults to inject, in the order in which they were added.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

/// A fault to inject into the next calls of a method and path.
pub(super) struct Fault {
    /// `None`: any.
    method: Option<Method>,
    path_prefix: String,
    /// How often it is injected yet; `None`: without end.
    left: Option<u32>,
    /// Into which share of the calls: above 0, to 1.
    share: f64,
    /// How many calls it could have been injected into.
    calls: f64,
    effect: FaultAction,
}

/// What a fault does to one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum FaultAction {
    /// The call does not run and fails with this status.
    Status(StatusCode),
    /// The call does not run; a page comes instead, as from a proxy.
    Html(StatusCode),
    /// The call runs; the connection closes without a response (over HTTP/2: the stream).
    Reset,
    /// The call runs; the connection closes in the middle of the response.
    Truncate,
    /// The call runs; the response comes late.
    Delay(Duration),
}

/// Ends when the emulator shuts down.
#[derive(Clone)]
pub(super) struct Stopped(pub(super) watch::Receiver<()>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Uses up one count of the first fault that matches and does not let the call through.
    pub(super) fn take(&mut self, method: &Method, path: &str) -> Option<FaultAction> {
        let index = self.0.iter_mut().position(|fault| fault.matches(method, path) && fault.is_due())?;
        let fault = &mut self.0[index];
        let effect = fault.effect;
        fault.left = fault.left.map(|left| left - 1);
        if fault.left == Some(0) {
            self.0.remove(index);
        }
        Some(effect)
    }
}

impl Fault {
    fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && path.starts_with(&self.path_prefix)
    }

    /// Whether this call is one of its share. They are spread evenly, so that a test can count on them: with a
    /// quarter, every fourth call.
    fn is_due(&mut self) -> bool {
        const ROUNDING: f64 = 1e-9;
        let due = |calls: f64| (calls * self.share + ROUNDING).floor();
        self.calls += 1.0;
        due(self.calls) > due(self.calls - 1.0)
    }
}

impl FaultAction {
    /// The response that replaces the call.
    pub(super) fn instead(self) -> Option<Response> {
        match self {
            Self::Status(status) => Some(ApiError::new(status, "fault on demand").into_response()),
            Self::Html(status) => {
                Some((status, Html("<html><body>fault on demand</body></html>")).into_response())
            }
            Self::Reset | Self::Truncate | Self::Delay(_) => None,
        }
    }

    /// Changes the response to a call that ran.
    pub(super) async fn apply(self, mut response: Response, stopped: Option<Stopped>) -> Response {
        match self {
            Self::Status(_) | Self::Html(_) => {}
            Self::Reset => *response.body_mut() = Body::from_stream(Broken(None)),
            Self::Truncate => {
                let (mut parts, body) = response.into_parts();
                let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
                parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
                let half = whole.slice(..whole.len() / 2);
                return Response::from_parts(parts, Body::from_stream(Broken(Some(Part::Data(half)))));
            }
            Self::Delay(delay) => match stopped {
                Some(Stopped(mut stopped)) => {
                    // An error means that the sender is gone, and with it the reason to wait.
                    let _ = tokio::time::timeout(delay, stopped.changed()).await;
                }
                None => tokio::time::sleep(delay).await,
            },
        }
        response
    }
}

/// A body that breaks off: the server then closes the connection. If it breaks before its first
/// byte, not even the status line is sent.
struct Broken(Option<Part>);

enum Part {
    Data(Bytes),
    /// Gives the server a turn to send what it has, which it would otherwise drop.
    Pause,
}

impl Stream for Broken {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(Part::Data(data)) => {
                self.0 = Some(Part::Pause);
                Poll::Ready(Some(Ok(data)))
            }
            Some(Part::Pause) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(Some(Err(BrokenOff))),
        }
    }
}

#[derive(Debug)]
struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on demand")
    }
}

impl std::error::Error for BrokenOff {}

/// A fault as a test adds it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFault {
    method: Option<String>,
    #[serde(default)]
    path: String,
    count: Option<u32>,
    share: Option<f64>,
    kind: Kind,
    status: Option<u16>,
    delay_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Status,
    Reset,
    Truncate,
    Html,
    Delay,
}

impl NewFault {
    /// Checks it.
    pub(super) fn build(self) -> Result<Fault, ApiError> {
        const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = match self.method {
            None => None,
            Some(name) => Some(
                METHODS
                    .into_iter()
                    .find(|method| method.as_str() == name)
                    .ok_or_else(|| ApiError::invalid("method must be GET, POST, PUT, PATCH or DELETE"))?,
            ),
        };
        if self.count == Some(0) {
            return Err(ApiError::invalid("count must be above 0"));
        }
        let share = self.share.unwrap_or(1.0);
        if share <= 0.0 || share > 1.0 {
            return Err(ApiError::invalid("share must be above 0 and at most 1"));
        }
        if self.status.is_some() && !matches!(self.kind, Kind::Status | Kind::Html) {
            return Err(ApiError::invalid("status goes with kind status or html"));
        }
        if self.delay_ms.is_some() != (self.kind == Kind::Delay) {
            return Err(ApiError::invalid("delay_ms goes with kind delay"));
        }
        let status = match self.status {
            None => None,
            Some(200..=599) => self.status.and_then(|status| StatusCode::from_u16(status).ok()),
            Some(_) => return Err(ApiError::invalid("status must be in 200-599")),
        };
        let effect = match self.kind {
            Kind::Status => {
                FaultAction::Status(status.ok_or_else(|| ApiError::invalid("kind status needs a status"))?)
            }
            Kind::Html => FaultAction::Html(status.unwrap_or(StatusCode::OK)),
            Kind::Reset => FaultAction::Reset,
            Kind::Truncate => FaultAction::Truncate,
            Kind::Delay => FaultAction::Delay(Duration::from_millis(self.delay_ms.unwrap_or_default())),
        };
        let left = self.count.or_else(|| self.share.is_none().then_some(1));
        Ok(Fault { method, path_prefix: self.path, left, share, calls: 0.0, effect })
    }
}
