//! A call, as far as the layers around every handler have found out about it.

use std::{net::IpAddr, time::Instant};

use opentelemetry::trace::{TraceContextExt, TraceId};
use tonic::Request;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::principal::Principal;

/// Who calls, and how the call is named. An extension of each request that came through the server.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who calls.
    pub principal: Principal,
    /// The address that the connection comes from.
    pub peer: Option<IpAddr>,
    /// `x-request-id`, as the answer has it.
    pub request_id: String,
    /// The trace that the caller sent along.
    pub trace_id: Option<TraceId>,
}

impl CallContext {
    /// Of a request. One that did not come through the server, as the offline commands' does, is
    /// anonymous.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self {
            principal: Principal::anonymous(),
            peer: None,
            request_id: String::new(),
            trace_id: None,
        })
    }

    /// The trace of the call: the caller's, or one that began here; empty where there is none.
    #[must_use]
    pub fn trace_id(&self) -> String {
        let began_here = || {
            let context = tracing::Span::current().context();
            let context = context.span().span_context().clone();
            context.is_valid().then(|| context.trace_id())
        };
        self.trace_id.or_else(began_here).map(|id| id.to_string()).unwrap_or_default()
    }
}

/// The caller's own deadline; an extension of the request where the caller set one.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);
