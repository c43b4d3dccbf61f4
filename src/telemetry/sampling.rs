//! Which calls are traced. It is decided before a span is made, because a span that nobody sees costs a tenth of a call.

use std::{sync::Arc, time::SystemTime};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{self, Span, SpanContext, SpanKind, TraceContextExt, TraceId, Tracer},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SdkTracer, ShouldSample},
};

use super::traces::Began;

/// Decides which calls are traced. The default: none.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    /// `None`: nothing is exported.
    exported: Option<Arc<Exported>>,
    ignores_callers: bool,
}

#[derive(Debug)]
struct Exported {
    sampler: Sampler,
    tracer: SdkTracer,
}

/// What is decided of one call.
pub struct CallTrace {
    /// Set where it is exported.
    exported: Option<Arc<Exported>>,
    caller: Option<SpanContext>,
}

impl Sampling {
    /// `exported`: what decides, and makes spans, where traces are exported. `follows_callers`: their decision is
    /// heard.
    pub(super) fn new(exported: Option<(Sampler, SdkTracer)>, follows_callers: bool) -> Self {
        let exported = exported.map(|(sampler, tracer)| Arc::new(Exported { sampler, tracer }));
        Self { exported, ignores_callers: !follows_callers }
    }

    /// By the sampler, and by what the caller sent along, if it `is_known`.
    #[must_use]
    pub fn decide(&self, headers: &HeaderMap, is_known: bool) -> CallTrace {
        let is_heard = is_known && !self.ignores_callers;
        let caller = if is_heard { caller_of(headers) } else { None };
        let exported = self.exported.as_ref().filter(|exported| samples(&exported.sampler, caller.as_ref()));
        CallTrace { exported: exported.cloned(), caller }
    }
}

fn samples(sampler: &Sampler, caller: Option<&SpanContext>) -> bool {
    let trace = caller.map_or_else(|| RandomIdGenerator::default().new_trace_id(), SpanContext::trace_id);
    let parent = caller.map(|caller| Context::new().with_remote_span_context(caller.clone()));
    let result = sampler.should_sample(parent.as_ref(), trace, "call", &SpanKind::Server, &[], &[]);
    matches!(result.decision, SamplingDecision::RecordAndSample)
}

impl CallTrace {
    /// Whether it is exported.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.exported.is_some()
    }

    /// The trace that the caller sent along.
    #[must_use]
    pub fn of_caller(&self) -> Option<TraceId> {
        self.caller.as_ref().map(SpanContext::trace_id)
    }

    /// What the span of a sampled call is in: its caller's trace, or none. `began`: when the call did.
    #[must_use]
    pub fn parent(&self, began: SystemTime) -> Context {
        let context = Context::new().with_value(Began(began));
        match &self.caller {
            Some(caller) => context.with_remote_span_context(SpanContext::new(
                caller.trace_id(),
                caller.span_id(),
                caller.trace_flags().with_sampled(true),
                true,
                caller.trace_state().clone(),
            )),
            None => context,
        }
    }

    /// Adds a step that was over before the call's span was made. `error`: why it failed.
    pub fn add_step(
        &self,
        name: &'static str,
        call: &Context,
        from: SystemTime,
        error: Option<&'static str>,
    ) {
        let Some(exported) = &self.exported else { return };
        let mut step = exported.tracer.span_builder(name).with_start_time(from);
        step.attributes = error.map(|error| vec![KeyValue::new("error.type", error)]);
        let mut step = exported.tracer.build_with_context(step, call);
        if error.is_some() {
            step.set_status(trace::Status::error(""));
        }
        step.end();
    }
}

/// W3C trace context, from a call's metadata.
fn caller_of(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next()?;
    if parents.next().is_some() || !is_well_formed(parent.as_bytes()) {
        return None;
    }
    let sent = Sent { parent: parent.to_str().ok()?, state: state_of(headers) };
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &sent);
    Some(caller.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// Whether it has the form of Trace Context, section 3.2: the SDK reads shorter numbers too. Later versions may say more
/// behind it.
fn is_well_formed(parent: &[u8]) -> bool {
    let Some((known, more)) = parent.split_at_checked(55) else { return false };
    let is_right = |(place, byte): (usize, &u8)| match place {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    let has_room = !known.starts_with(b"00") && more.starts_with(b"-");
    known.iter().enumerate().all(is_right) && (more.is_empty() || has_room)
}

/// The longest `tracestate` that is passed on, in bytes: what the specification asks for at least. Trace Context,
/// section 3.3.1.5.
const LONGEST_STATE: usize = 512;

/// A list, which may be in several headers.
fn state_of(headers: &HeaderMap) -> Option<String> {
    let parts = headers.get_all("tracestate").iter().map(|part| part.to_str().ok());
    let state = parts.collect::<Option<Vec<_>>>()?.join(",");
    // Every span of the trace would hold it.
    (state.len() <= LONGEST_STATE).then_some(state)
}

/// What a caller sent along.
struct Sent<'a> {
    parent: &'a str,
    state: Option<String>,
}

impl Extractor for Sent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// A call whose caller wants a trace, where nothing else is sampled.
    fn decide(state: &str, is_known: bool) -> CallTrace {
        decide_by(true, state, is_known)
    }

    fn decide_by(follows_callers: bool, state: &str, is_known: bool) -> CallTrace {
        let tracer = SdkTracerProvider::default().tracer("test");
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let sampling = Sampling::new(Some((sampler, tracer)), follows_callers);
        let headers = [("traceparent", PARENT), ("tracestate", state)];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        sampling.decide(&HeaderMap::from_iter(headers), is_known)
    }

    #[test]
    fn an_unauthenticated_caller_decides_nothing() {
        let (authenticated, unauthenticated) = (decide("a=b", true), decide("a=b", false));
        assert!(authenticated.is_sampled() && authenticated.of_caller().is_some());
        assert!(!unauthenticated.is_sampled() && unauthenticated.of_caller().is_none());
    }

    #[test]
    fn nobody_is_followed_where_no_propagator_is_set() {
        let unheard = decide_by(false, "a=b", true);
        assert!(!unheard.is_sampled() && unheard.of_caller().is_none());
    }

    #[test]
    fn only_one_parent_of_the_specified_form_is_followed() {
        let caller = |parents: &[&str]| {
            let parents =
                parents.iter().map(|parent| ("traceparent".parse().unwrap(), parent.parse().unwrap()));
            caller_of(&parents.collect())
        };
        for good in [PARENT, &PARENT.replacen("00", "01", 1), &(PARENT.replacen("00", "cc", 1) + "-more")] {
            assert!(caller(&[good]).is_some(), "{good}");
        }
        for bad in [
            "00-1-2-01",
            PARENT.trim_end_matches('1'),
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &(PARENT.to_owned() + "-more"),
            &(PARENT.replacen("00", "01", 1) + "more"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        ] {
            assert!(caller(&[bad]).is_none(), "{bad}");
        }
        assert!(caller(&[PARENT, PARENT]).is_none(), "nobody knows which one is meant");
    }

    #[test]
    fn a_trace_state_in_several_headers_is_one_list() {
        let state = |parts: &[&str]| {
            let mut headers =
                HeaderMap::from_iter([("traceparent".parse().unwrap(), PARENT.parse().unwrap())]);
            for part in parts {
                headers.append("tracestate", part.parse().unwrap());
            }
            caller_of(&headers).unwrap().trace_state().header()
        };
        assert_eq!(state(&["a=b"]), "a=b");
        assert_eq!(state(&["a=b,c=d", "", " e=f "]), "a=b,c=d,e=f");
        assert_eq!(state(&["a=b", "no list"]), "", "one that is wrong is left out whole");
        let half = format!("a={}", "b".repeat(LONGEST_STATE / 2));
        assert_eq!(state(&[&half, &half.replace('a', "c")]), "", "they are too long together");
    }

    #[test]
    fn a_long_trace_state_is_left_out() {
        let state = |text: &str| {
            let context = decide(text, true).parent(SystemTime::UNIX_EPOCH);
            context.span().span_context().trace_state().header()
        };
        let longest = format!("a={}", "b".repeat(LONGEST_STATE - 2));
        assert_eq!((state("a=b"), state(&format!("{longest}b"))), ("a=b".to_owned(), String::new()));
    }
}
