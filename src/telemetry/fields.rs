//! What is in a line of the log.

use std::{fmt::Debug, time::Duration};

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Number, Value};
use tracing::{
    dispatcher,
    field::{Field, Visit},
    span::Id,
};
use tracing_opentelemetry::get_otel_context;

/// The longest line, in bytes: container runtimes cut what is longer.
pub(super) const LONGEST_LINE: usize = 16 * 1024;

/// The most characters of a text; with the second limit any line is short enough.
pub(super) const LONGEST_TEXTS: [usize; 2] = [2048, 128];

/// The span fields that are added to each line.
const SPAN_FIELDS: [&str; 4] = ["rpc.method", "request_id", "trace_id", "trace_flags"];

/// What is in a line, in order, or what of it is a span's.
#[derive(Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

/// As fields have it whose names end in `_ms`: to a microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl Fields {
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn of_span(mut self) -> Self {
        self.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        self
    }

    /// Adds a span's, beside those that the event has itself.
    pub(super) fn add(&mut self, of_span: &Self) {
        for (name, value) in &of_span.0 {
            self.0.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// By the names of OpenTelemetry's "Trace Context in non-OTLP Log Formats".
    pub(super) fn add_trace(&mut self, span: &Id) {
        let context = dispatcher::get_default(|dispatch| get_otel_context(span, dispatch));
        let Some(context) = context else { return };
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            self.put("trace_id", span.trace_id().to_string());
            self.put("span_id", span.span_id().to_string());
            self.put("trace_flags", format!("{:02x}", span.trace_flags().to_u8()));
        }
    }

    /// One line, with its texts shortened to fit.
    pub(super) fn render(mut self, render: fn(&Self) -> String) -> Vec<u8> {
        let mut line = String::new();
        for most in LONGEST_TEXTS {
            self.0.values_mut().for_each(|value| shorten(value, most));
            line = render(&self);
            if line.len() < LONGEST_LINE {
                break;
            }
        }
        line.push('\n');
        line.into_bytes()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field.name(), wide(Number::from_u128(value), &value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field.name(), wide(Number::from_i128(value), &value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), wide(Number::from_f64(value), &value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
}

/// A number, or as text what JSON's readers have no number for.
fn wide(number: Option<Number>, value: &impl ToString) -> Value {
    number.map_or_else(|| value.to_string().into(), Value::Number)
}

fn shorten(value: &mut Value, most: usize) {
    if let Value::String(text) = value
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
        text.push('…');
    }
}
