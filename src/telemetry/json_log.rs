//! The log as JSON: one object a line, with the call and the trace that it belongs to.

use std::{
    fmt::Debug,
    io::{self, Write},
    time::{Duration, UNIX_EPOCH},
};

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber, dispatcher,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::clock::{Clock, SystemClock};

/// What a line tells of the spans that it was written in.
const SPAN_FIELDS: [&str; 2] = ["rpc.method", "request_id"];

pub(super) struct JsonLog;

/// A span's fields, as far as lines tell them.
struct SpanFields(Fields);

#[derive(Default)]
struct Fields(Map<String, Value>);

impl<S> Layer<S> for JsonLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        fields.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        if let Some(span) = context.span(id)
            && let Some(known) = span.extensions_mut().get_mut::<SpanFields>()
        {
            known.0.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().get());
        line.0.insert("timestamp".to_owned(), humantime::format_rfc3339_millis(now).to_string().into());
        line.0.insert("level".to_owned(), event.metadata().level().as_str().into());
        event.record(&mut line);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                line.0.extend(fields.0.0.clone());
            }
        }
        if let Some(span) = context.event_span(event) {
            line.add_trace(&span.id());
        }
        // A log that cannot be written has nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", Value::Object(line.0));
    }
}

impl Fields {
    fn add_trace(&mut self, span: &Id) {
        let context = dispatcher::get_default(|dispatch| get_otel_context(span, dispatch));
        let Some(context) = context else { return };
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            self.0.insert("trace_id".to_owned(), span.trace_id().to_string().into());
            self.0.insert("span_id".to_owned(), span.span_id().to_string().into());
            self.0.insert("trace_flags".to_owned(), format!("{:02x}", span.trace_flags().to_u8()).into());
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
