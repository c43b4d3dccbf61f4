//! A call, as far as is known of it before its handler runs.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use http::HeaderValue;
use opentelemetry::trace::{TraceContextExt, TraceId};
use tonic::Request;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{hex::Uuid4, principal::Principal, telemetry::is_traced, whiteboard::Effect};

/// Who calls, and how the call is named. An extension of each request that came through the server.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who calls.
    pub principal: Principal,
    /// The IP address that the connection comes from; empty: there is none.
    pub peer: Arc<str>,
    /// `x-request-id`, as the answer has it.
    pub request_id: RequestId,
    /// The trace that the caller sent along.
    pub trace_id: Option<TraceId>,
    /// The caller's own deadline.
    pub deadline: Option<Instant>,
    /// What it may have done so far.
    pub effect: EffectSoFar,
}

/// The name of a call in its answer, in the log and in the audit trail: 1 to 64 of `0-9 A-Z a-z - _ .`. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl CallContext {
    /// Of a request. One that did not come through the server, as the offline commands' does, is
    /// anonymous.
    pub fn of<T>(request: &Request<T>) -> &Self {
        static OFFLINE: LazyLock<CallContext> = LazyLock::new(|| CallContext {
            principal: Principal::anonymous(),
            peer: "".into(),
            request_id: RequestId(HeaderValue::from_static("")),
            trace_id: None,
            deadline: None,
            effect: EffectSoFar::default(),
        });
        request.extensions().get().unwrap_or(&OFFLINE)
    }

    /// The trace of the call: the caller's, or one that began here; empty where there is none.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace_id.or_else(began_here).map(|id| id.to_string()).unwrap_or_default()
    }
}

/// What a call may have done by now: nothing before its message has come whole. Whoever ends it early asks. Cheap to clone;
/// the default is of a call that has no effect.
#[derive(Clone, Debug, Default)]
pub struct EffectSoFar(Option<Arc<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    has_arrived: AtomicBool,
    repeats_safely: AtomicBool,
}

impl EffectSoFar {
    /// `effect`: what the call may do at all.
    #[must_use]
    pub fn of(effect: Effect) -> Self {
        Self((effect == Effect::Possible).then(Arc::default))
    }

    /// What it may have done.
    #[must_use]
    pub fn get(&self) -> Effect {
        let has_arrived = self.0.as_ref().is_some_and(|progress| progress.has_arrived.load(Relaxed));
        if has_arrived { Effect::Possible } else { Effect::None }
    }

    /// Its message has come whole.
    pub(crate) fn set_arrived(&self) {
        if let Some(progress) = &self.0 {
            progress.has_arrived.store(true, Relaxed);
        }
    }

    /// Whether to repeat it, on any replica, does nothing more.
    #[must_use]
    pub fn repeats_safely(&self) -> bool {
        self.0.as_ref().is_some_and(|progress| progress.repeats_safely.load(Relaxed))
    }

    /// Its `request_id` holds in every replica.
    pub(crate) fn set_repeats_safely(&self) {
        if let Some(progress) = &self.0 {
            progress.repeats_safely.store(true, Relaxed);
        }
    }
}

fn began_here() -> Option<TraceId> {
    if !is_traced() {
        return None;
    }
    let context = Span::current().context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id())
}

impl RequestId {
    /// From the caller's own id. `None`: it is not safe to log.
    #[must_use]
    pub fn new(id: &HeaderValue) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let fits = (1..=64).contains(&id.len()) && id.as_bytes().iter().all(allowed);
        fits.then(|| Self(unindexed(id.clone())))
    }

    /// A new one: a UUID of random bytes.
    #[must_use]
    pub fn random(bytes: [u8; 16]) -> Self {
        let id = Uuid4::random(bytes);
        Self(unindexed(HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    #[must_use]
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// Marked sensitive, which keeps HPACK from indexing what no other answer has.
fn unindexed(mut id: HeaderValue) -> HeaderValue {
    id.set_sensitive(true);
    id
}
