//! Which calls are traced. It is decided before a span is made, because a span that nobody sees costs a tenth of a call.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample},
};

/// Decides which calls are traced. The default: none.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    /// `None`: nothing is exported.
    sampler: Option<Arc<Sampler>>,
}

/// What is decided of one call.
pub struct CallTrace {
    /// Whether its trace is exported.
    pub is_sampled: bool,
    caller: Option<SpanContext>,
    is_exporting: bool,
}

impl Sampling {
    /// `sampler`: decides, where traces are exported.
    pub(super) fn new(sampler: Option<Sampler>) -> Self {
        Self { sampler: sampler.map(Arc::new) }
    }

    /// By the sampler, and by what the caller sent along, if it `is_known`.
    #[must_use]
    pub fn decide(&self, headers: &HeaderMap, is_known: bool) -> CallTrace {
        let caller = if is_known { caller_of(headers) } else { None };
        let is_sampled = self.sampler.as_deref().is_some_and(|sampler| samples(sampler, caller.as_ref()));
        CallTrace { is_sampled, caller, is_exporting: self.sampler.is_some() }
    }
}

fn samples(sampler: &Sampler, caller: Option<&SpanContext>) -> bool {
    let trace = caller.map_or_else(|| RandomIdGenerator::default().new_trace_id(), SpanContext::trace_id);
    let parent = caller.map(|caller| Context::new().with_remote_span_context(caller.clone()));
    let result = sampler.should_sample(parent.as_ref(), trace, "call", &SpanKind::Server, &[], &[]);
    matches!(result.decision, SamplingDecision::RecordAndSample)
}

impl CallTrace {
    /// The trace that the caller sent along.
    #[must_use]
    pub fn of_caller(&self) -> Option<TraceId> {
        self.caller.as_ref().map(SpanContext::trace_id)
    }

    /// The parent of the call's span, which carries the decision. `None`: it is a root, and sampled.
    #[must_use]
    pub fn parent(&self) -> Option<Context> {
        let made_up = || {
            let ids = RandomIdGenerator::default();
            let (trace, span) = (ids.new_trace_id(), ids.new_span_id());
            SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, true, TraceState::NONE)
        };
        let parent = match &self.caller {
            Some(caller) => SpanContext::new(
                caller.trace_id(),
                caller.span_id(),
                caller.trace_flags().with_sampled(self.is_sampled),
                true,
                caller.trace_state().clone(),
            ),
            None if self.is_sampled || !self.is_exporting => return None,
            None => made_up(),
        };
        Some(Context::new().with_remote_span_context(parent))
    }
}

/// W3C trace context, from a call's metadata.
fn caller_of(headers: &HeaderMap) -> Option<SpanContext> {
    if !headers.contains_key("traceparent") {
        return None;
    }
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    Some(caller.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// The longest `tracestate` that is passed on, in bytes: what the specification asks for at least. Trace Context,
/// section 3.3.1.5.
const LONGEST_STATE: usize = 512;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let text = self.0.get(key)?.to_str().ok()?;
        // Every span of the trace would hold it.
        (key != "tracestate" || text.len() <= LONGEST_STATE).then_some(text)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// A call whose caller wants a trace, where nothing else is sampled.
    fn decide(state: &str, is_known: bool) -> CallTrace {
        let sampling = Sampling::new(Some(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))));
        let headers = [("traceparent", PARENT), ("tracestate", state)];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        sampling.decide(&HeaderMap::from_iter(headers), is_known)
    }

    #[test]
    fn an_unauthenticated_caller_decides_nothing() {
        let (authenticated, unauthenticated) = (decide("a=b", true), decide("a=b", false));
        assert!(authenticated.is_sampled && authenticated.of_caller().is_some());
        assert!(!unauthenticated.is_sampled && unauthenticated.of_caller().is_none());
    }

    #[test]
    fn a_long_trace_state_is_left_out() {
        let state = |text: &str| {
            let context = decide(text, true).parent().unwrap();
            context.span().span_context().trace_state().header()
        };
        let longest = format!("a={}", "b".repeat(LONGEST_STATE - 2));
        assert_eq!((state("a=b"), state(&format!("{longest}b"))), ("a=b".to_owned(), String::new()));
    }
}
