//! Who sent a call, as the server found out before a handler sees it.

use std::net::IpAddr;

use opentelemetry::trace::TraceContextExt;
use tonic::Request;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::caller::Principal;

/// An extension of each request that came through the server.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who calls.
    pub principal: Principal,
    /// From where.
    pub peer: Option<IpAddr>,
    /// The call's id, as its answer has it.
    pub request_id: String,
}

impl Caller {
    /// Of a request; one that did not come through the server is nobody's.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self {
            principal: Principal::anonymous(),
            peer: None,
            request_id: String::new(),
        })
    }

    pub(super) fn peer(&self) -> String {
        self.peer.map(|peer| peer.to_string()).unwrap_or_default()
    }
}

/// The trace of the call under way; empty where it is not traced.
pub(super) fn trace_id() -> String {
    let context = tracing::Span::current().context();
    let span = context.span();
    let context = span.span_context();
    if context.is_valid() { context.trace_id().to_string() } else { String::new() }
}
