//! The span of a call: names follow OpenTelemetry's conventions for RPC, and ours begin with `inkpass.`

use http::{HeaderMap, Request, header::HOST, uri::Authority};
use opentelemetry::{Array, StringValue, Value, time};
use tokio::time::Instant;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    call::RequestId,
    error::Error,
    principal::Principal,
    server::peer::Peer,
    telemetry::{CallTrace, TRACED},
};

/// The most bytes of a name that anyone may have sent.
const LONGEST_NAME: usize = 256;

/// gRPC's own header: how often the caller has sent the call before.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// A call whose caller is authenticated, or is not.
pub(super) struct Arrived<'a, B> {
    pub(super) request: &'a Request<B>,
    /// The method's name; `_OTHER`: it is not served.
    pub(super) method: &'static str,
    pub(super) id: &'a RequestId,
    pub(super) peer: &'a Peer,
    pub(super) began: Instant,
    /// `None`: it is open to everyone.
    pub(super) caller: Result<Option<&'a Principal>, &'a Error>,
}

impl<B> Arrived<'_, B> {
    /// The span of a sampled call. It begins when the call did, and its first step was authentication.
    pub(super) fn traced(&self, trace: &CallTrace) -> Span {
        let (method, headers) = (self.method, self.request.headers());
        let began = time::now().checked_sub(self.began.elapsed()).unwrap_or_else(time::now);
        let other = (method == "_OTHER").then(|| self.request.uri().path().trim_start_matches('/'));
        let server = authority(self.request);
        let span = tracing::error_span!(
            target: TRACED,
            parent: None,
            "call",
            otel.name = if other.is_some() { "grpc" } else { method },
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.method_original = other.map(cut),
            rpc.status_code = Empty,
            error.r#type = Empty,
            server.address = server.as_ref().map(|server| address(server.host())),
            server.port = server.as_ref().and_then(Authority::port_u16),
            network.peer.address = &*self.peer.ip,
            network.peer.port = self.peer.port,
            request_id = self.id.as_str(),
            inkpass.principal = self.caller.ok().flatten().map(Principal::as_str),
            inkpass.project = Empty,
            inkpass.region = Empty,
            inkpass.grant = Empty,
            inkpass.access_key = Empty,
            inkpass.reason = Empty,
        );
        // The layer that makes spans is there, and nobody has entered this one.
        let _ = span.set_parent(trace.parent(began));
        if let Some(attempts) = previous_attempts(headers) {
            span.set_attribute(format!("rpc.request.metadata.{PREVIOUS_ATTEMPTS}"), attempts);
        }
        if !matches!(self.caller, Ok(None)) {
            let error = self.caller.err().map(|error| error.explain().reason.name());
            trace.add_step("authenticate", &span.context(), began, error);
        }
        span
    }

    /// The span of a call that is not exported: lines of the log name the call by it.
    pub(super) fn logged(&self, trace: &CallTrace) -> Span {
        let caller = trace.of_caller();
        tracing::error_span!(
            "call",
            rpc.method = self.method,
            request_id = self.id.as_str(),
            trace_id = caller.map(tracing::field::display),
            trace_flags = caller.map(|_| "00"),
        )
    }
}

/// By what name the caller knows the server.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    let of_host = || request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    request.uri().authority().cloned().or_else(of_host)
}

/// An IPv6 address without its brackets, which belong to the URL.
fn address(host: &str) -> &str {
    cut(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}

/// As the conventions have it: a list, because a header may be repeated.
fn previous_attempts(headers: &HeaderMap) -> Option<Value> {
    let attempts: u32 = headers.get(PREVIOUS_ATTEMPTS)?.to_str().ok()?.parse().ok()?;
    Some(Value::Array(Array::String(vec![StringValue::from(attempts.to_string())])))
}
