//! Who sent a call, as the server found out before a handler sees it.

use std::net::IpAddr;

use opentelemetry::trace::{TraceContextExt, TraceId};
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
    /// The trace that the caller sent along.
    pub trace_id: Option<TraceId>,
}

impl Caller {
    /// Of a request; one that did not come through the server is nobody's.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self {
            principal: Principal::anonymous(),
            peer: None,
            request_id: String::new(),
            trace_id: None,
        })
    }

    pub(super) fn peer(&self) -> String {
        self.peer.map(|peer| peer.to_string()).unwrap_or_default()
    }

    /// The call's trace: the caller's, or one that began here. Empty where there is none.
    pub(super) fn trace_id(&self) -> String {
        let began_here = || {
            let context = tracing::Span::current().context();
            let context = context.span().span_context().clone();
            context.is_valid().then(|| context.trace_id())
        };
        self.trace_id.or_else(began_here).map(|id| id.to_string()).unwrap_or_default()
    }
}
