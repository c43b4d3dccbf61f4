//! The log: each event as one line, with its call and its trace.

use std::io::{self, IsTerminal};

use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{fields::Fields, json_log, log_control::LogFormat, stderr::Stderr, text_log};
use crate::clock::{Clock, SystemClock};

/// Writes lines to standard error.
pub(super) struct LogLayer {
    render: fn(&Fields) -> String,
    stderr: Stderr,
}

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
        let now = SystemClock.now().system_time();
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::telemetry::fields::{LONGEST_LINE, LONGEST_TEXTS};

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
