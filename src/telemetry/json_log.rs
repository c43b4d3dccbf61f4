//! The log as JSON: one object a line, with its call and its trace.

use std::{
    fmt::Debug,
    io::Write,
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

use super::stderr::Stderr;
use crate::{
    clock::{Clock, SystemClock},
    json_line::push_ascii,
};

/// The longest line, in bytes: container runtimes cut what is longer.
const LONGEST_LINE: usize = 16 * 1024;

/// The most characters of a text; with the second limit any line is short enough.
const LONGEST_TEXTS: [usize; 2] = [2048, 128];

/// The span fields that are added to each line.
const SPAN_FIELDS: [&str; 3] = ["rpc.method", "request_id", "trace_id"];

pub(super) struct JsonLog {
    stderr: Stderr,
}

impl JsonLog {
    pub(super) const fn new(stderr: Stderr) -> Self {
        Self { stderr }
    }
}

/// The [`SPAN_FIELDS`] of a span.
struct SpanFields(JsonFields);

#[derive(Default)]
struct JsonFields(Map<String, Value>);

impl<S> Layer<S> for JsonLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = JsonFields::default();
        attributes.record(&mut fields);
        fields.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = JsonFields::default();
        values.record(&mut fields);
        fields.0.retain(|name, _| SPAN_FIELDS.contains(&&**name));
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<SpanFields>()
        {
            recorded.0.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = JsonFields::default();
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
        let _ = self.stderr.clone().write(&line.render());
    }
}

impl JsonFields {
    /// One line of printable ASCII, with its texts shortened to fit.
    fn render(mut self) -> Vec<u8> {
        let mut line = String::new();
        for most in LONGEST_TEXTS {
            self.0.values_mut().for_each(|value| shorten(value, most));
            line.clear();
            push_ascii(&mut line, &Value::Object(self.0.clone()).to_string());
            if line.len() < LONGEST_LINE {
                break;
            }
        }
        line.push('\n');
        line.into_bytes()
    }

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

impl Visit for JsonFields {
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

    fn render(fields: &[(&str, &str)]) -> (usize, Value) {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
        let line = String::from_utf8(JsonFields(fields.collect()).render()).unwrap();
        assert!(line.ends_with('\n') && line.trim_end().bytes().all(|byte| matches!(byte, b' '..=b'~')));
        (line.len(), serde_json::from_str(&line).unwrap())
    }

    #[test]
    fn any_text_is_one_line_of_printable_ascii_that_reads_back() {
        let hostile = "\r\n\u{1b}[2J\u{9b}31m\u{2028}\u{202e}\u{7f}\0\"}{é🎨";
        assert_eq!(render(&[("message", hostile)]).1["message"], hostile);
    }

    #[test]
    fn a_line_is_short_enough_for_a_container_runtime() {
        let (long, longest) = ("é".repeat(3000), "\u{1b}🎨".repeat(100_000));
        let (_, line) = render(&[("a", &long), ("b", "whole")]);
        assert_eq!(line["a"].as_str().unwrap().chars().count(), LONGEST_TEXTS[0] + 1);
        assert_eq!(line["b"], "whole");
        let fields: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, &*longest)).into();
        let (length, line) = render(&fields);
        assert!(length <= LONGEST_LINE, "{length}");
        assert!(line["h"].as_str().unwrap().ends_with('…'));
    }
}
