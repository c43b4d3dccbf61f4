//! The log: each event as one line, with its call and its trace.

use std::{
    fmt::Debug,
    io::{self, IsTerminal},
    time::{Duration, UNIX_EPOCH},
};

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Number, Value};
use tracing::{
    Event, Subscriber, dispatcher,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{json_log, log_control::LogFormat, stderr::Stderr, text_log};
use crate::clock::{Clock, SystemClock};

/// The longest line, in bytes: container runtimes cut what is longer.
const LONGEST_LINE: usize = 16 * 1024;

/// The most characters of a text; with the second limit any line is short enough.
const LONGEST_TEXTS: [usize; 2] = [2048, 128];

/// The span fields that are added to each line.
const SPAN_FIELDS: [&str; 3] = ["rpc.method", "request_id", "trace_id"];

/// Writes lines to standard error.
pub(super) struct LogLayer {
    render: fn(&Fields) -> String,
    stderr: Stderr,
}

/// What is in a line, in order, or what of it is a span's.
#[derive(Clone, Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl LogLayer {
    /// `format`: by default text where standard error is a terminal, else JSON.
    pub(super) fn new(format: Option<LogFormat>, stderr: Stderr) -> Self {
        let render = match (format, io::stderr().is_terminal()) {
            (Some(LogFormat::Json), _) | (None, false) => json_log::render,
            (_, true) => text_log::render_coloured,
            (Some(LogFormat::Text), false) => text_log::render,
        };
        Self { render, stderr }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields.of_span());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<Fields>()
        {
            recorded.0.extend(fields.of_span().0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().get());
        line.put("timestamp", humantime::format_rfc3339_millis(now).to_string());
        line.put("level", event.metadata().level().as_str());
        event.record(&mut line);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.add(fields);
            }
        }
        if let Some(span) = context.event_span(event) {
            line.add_trace(&span.id());
        }
        self.stderr.write(line.render(self.render));
    }
}

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn of_span(mut self) -> Self {
        self.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        self
    }

    /// Adds a span's, beside those that the event has itself.
    fn add(&mut self, of_span: &Self) {
        for (name, value) in &of_span.0 {
            self.0.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// By the names of OpenTelemetry's "Trace Context in non-OTLP Log Formats".
    fn add_trace(&mut self, span: &Id) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn render(fields: &[(&str, &str)], render: fn(&Fields) -> String) -> String {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
        let line = String::from_utf8(Fields(fields.collect()).render(render)).unwrap();
        let text = line.strip_suffix('\n').unwrap();
        assert!(!text.chars().any(|c| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)), "{text}");
        text.to_owned()
    }

    fn json(fields: &[(&str, &str)]) -> (usize, Value) {
        let line = render(fields, json_log::render);
        assert!(line.is_ascii());
        (line.len(), serde_json::from_str(&line).unwrap())
    }

    const HOSTILE: &str = "\r\n\u{1b}[2J\u{9b}31m\u{2028}\u{202e}\u{7f}\0\"}{é🎨";

    #[test]
    fn any_text_is_one_line_of_printable_ascii_that_reads_back() {
        assert_eq!(json(&[("message", HOSTILE)]).1["message"], HOSTILE);
    }

    #[test]
    fn any_text_is_one_line_without_controls_in_the_text_format_too() {
        let fields = [("timestamp", "T"), ("level", "INFO"), ("message", HOSTILE), ("why", HOSTILE)];
        assert_eq!(
            render(&fields, text_log::render),
            "T  INFO \\r\\n\\u{1b}[2J\\u{9b}31m\\u{2028}\\u{202e}\\u{7f}\\0\"}{é🎨 \
             why=\"\\r\\n\\u{1b}[2J\\u{9b}31m\\u{2028}\\u{202e}\\u{7f}\\0\\\"}{é🎨\""
        );
    }

    #[test]
    fn a_line_is_short_enough_for_a_container_runtime() {
        let (long, longest) = ("é".repeat(3000), "\u{1b}🎨".repeat(100_000));
        let (_, line) = json(&[("a", &long), ("b", "whole")]);
        assert_eq!(line["a"].as_str().unwrap().chars().count(), LONGEST_TEXTS[0] + 1);
        assert_eq!(line["b"], "whole");
        let fields: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, &*longest)).into();
        let (length, line) = json(&fields);
        assert!(length < LONGEST_LINE, "{length}");
        assert!(line["h"].as_str().unwrap().ends_with('…'));
        assert!(render(&fields, text_log::render).len() < LONGEST_LINE);
    }
}
