//! The spans that are exported. They are tracing's, of a target of their own, so that nothing else becomes one; a call
//! that is not sampled has none.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Injector, TextMapPropagator},
    trace::{SpanBuilder, TraceContextExt, Tracer},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span as SdkSpan},
};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// The target of spans that are exported.
pub const TRACED: &str = "inkpass::traced";

/// Whether the call that is under way is traced. Its steps have spans only then: else each would be a trace's root.
#[must_use]
pub fn is_traced() -> bool {
    Span::current().metadata().is_some_and(is_exported)
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TRACED
}

/// Turns our spans into OpenTelemetry's, without fields that cost time on the hot path. Lines of the log are not added
/// to them: they name their span instead.
pub(super) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer: OpenTelemetryLayer<S, _> = tracing_opentelemetry::layer()
        .with_tracer(CallTracer(tracer))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    layer.with_filter(filter_fn(|metadata| metadata.is_span() && is_exported(metadata)))
}

/// When a call began: before it was known whether it is traced.
pub(super) struct Began(pub(super) SystemTime);

/// Lets a call's span begin when the call did.
#[derive(Clone, Debug)]
struct CallTracer(SdkTracer);

impl Tracer for CallTracer {
    type Span = SdkSpan;

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> SdkSpan {
        let is_call = !parent.has_active_span() || parent.span().span_context().is_remote();
        if let Some(Began(time)) = parent.get().filter(|_| is_call) {
            builder.start_time = Some(*time);
        }
        self.0.build_with_context(builder, parent)
    }
}

/// The headers that make what is called a part of this span's trace.
#[must_use]
pub fn trace_headers(span: &Span) -> HeaderMap {
    let mut headers = Headers(HeaderMap::new());
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.0
}

struct Headers(HeaderMap);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::traced_span;

    /// Sees everything, as the log does.
    struct Log;

    impl<S: Subscriber> Layer<S> for Log {}

    #[test]
    fn only_a_traced_call_and_its_steps_are_more_than_the_log_s() {
        let tracer = SdkTracerProvider::default().tracer("test");
        with_default(tracing_subscriber::registry().with(layer(tracer)).with(Log), || {
            assert!(traced_span!("step").is_none());
            let logged = tracing::error_span!("call");
            assert!(!logged.is_none() && !logged.context().has_active_span());
            assert!(logged.in_scope(|| traced_span!("step").is_none()));
            assert!(trace_headers(&logged).is_empty());

            let call = tracing::error_span!(target: TRACED, "call");
            let step = call.in_scope(|| traced_span!("step"));
            let ids = |span: &Span| span.context().span().span_context().trace_id();
            assert_eq!(ids(&step), ids(&call));
            assert!(trace_headers(&step).contains_key("traceparent"));
        });
    }
}
