//! The layers that observe each call: its id, its span, its code and its duration.
//!
//! A call ends when its response's last byte is handed over; one that is dropped before that was
//! cancelled. Names follow OpenTelemetry's conventions for RPC.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TraceId},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::{Code, Status, body::Body};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::next::Next;
use crate::{entropy::Entropy, hex::Uuid4, server::incoming::Peer, telemetry::Metrics};

/// The call's id in its response, the log and the audit trail.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The call's id; an extension of the request.
#[derive(Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Gives the call an id, and puts it into the response.
pub(super) struct AssignRequestId(pub(super) Arc<dyn Entropy>);

impl AssignRequestId {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        let id = self.id(request.headers());
        request.extensions_mut().insert(RequestId(id.clone()));
        let mut response = next.run(request).await;
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// The caller's own id, if it is safe to log, or a new one.
    fn id(&self, headers: &HeaderMap) -> HeaderValue {
        let fits = |id: &&HeaderValue| {
            let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            (1..=64).contains(&id.len()) && id.as_bytes().iter().all(allowed)
        };
        headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
            let id = Uuid4::random(self.0.bytes());
            HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
        })
    }
}

/// Observes calls.
pub(super) struct Observe(pub(super) Arc<Metrics>);

/// The caller's trace id; an extension of the request.
#[derive(Clone, Copy)]
pub(super) struct CallerTrace(pub(super) TraceId);

impl Observe {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        let (call, trace) = Observed::begin(&request, self.0.clone());
        if let Some(trace) = trace {
            request.extensions_mut().insert(trace);
        }
        let response = next.run(request).instrument(call.span.clone()).await;
        call.follow(response)
    }
}

/// A call in flight. Dropped before its end, it was cancelled.
struct Observed {
    span: Span,
    metrics: Arc<Metrics>,
    path: String,
    began: Instant,
    code: Code,
}

impl Observed {
    /// Begins a call's span, within its caller's.
    fn begin(request: &Request<Body>, metrics: Arc<Metrics>) -> (Self, Option<CallerTrace>) {
        let method = metrics.of(request.uri().path()).method();
        // Of the highest level, so that the log names the call at any `log_level`.
        let span = tracing::error_span!(
            "call",
            otel.name = if method == "_OTHER" { "grpc" } else { method },
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.status_code = Empty,
            error.r#type = Empty,
            network.peer.address = Empty,
            request_id = request.extensions().get().map(RequestId::as_str),
            trace_id = Empty,
        );
        if let Some(peer) = request.extensions().get::<Peer>() {
            span.record("network.peer.address", tracing::field::display(peer.address.ip()));
        }
        let trace = follow_trace(&span, request.headers());
        let path = request.uri().path().to_owned();
        (Self { span, metrics, path, began: Instant::now(), code: Code::Cancelled }, trace)
    }

    /// Follows the response to its end.
    fn follow(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(status) = Status::from_header_map(response.headers()) {
            // There is no body to wait for.
            self.code = status.code();
            return response;
        }
        response.map(|body| Body::new(ObservedBody { body, call: self }))
    }
}

/// Makes the span a child of the caller's, if there is one.
fn follow_trace(span: &Span, headers: &HeaderMap) -> Option<CallerTrace> {
    if !headers.contains_key("traceparent") {
        return None;
    }
    let caller = TraceContextPropagator::new().extract(&Headers(headers));
    let context = caller.span().span_context().clone();
    if !context.is_valid() {
        return None;
    }
    if span.set_parent(caller).is_err() {
        // No traces are exported; the log still names the caller's trace.
        span.record("trace_id", tracing::field::display(context.trace_id()));
    }
    Some(CallerTrace(context.trace_id()))
}

impl Drop for Observed {
    fn drop(&mut self) {
        let name = self.metrics.of(&self.path).ended(self.code as i32, self.began.elapsed());
        self.span.record("rpc.status_code", name);
        if self.code != Code::Ok {
            self.span.record("error.type", name);
        }
        if is_server_fault(self.code) {
            self.span.record("otel.status_code", "ERROR");
        }
        self.span.in_scope(
            || tracing::debug!(rpc.status_code = name, duration = ?self.began.elapsed(), "a call ended"),
        );
    }
}

/// The codes for which a server's span is an error.
const fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// W3C trace context in a call's metadata.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// A response body that records how its call ended.
struct ObservedBody {
    body: Body,
    call: Observed,
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.call.code = status.code();
                }
            }
            Some(Err(status)) => self.call.code = status.code(),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
