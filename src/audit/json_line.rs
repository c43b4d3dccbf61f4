//! Writes a JSON object of printable ASCII, field by field, within a limit.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use crate::{clock::UnixMillis, json_text::push_escaped, token::Fingerprint};

/// How long a line's values may be.
struct TextLimits {
    /// The most bytes of a text, escaped; a principal has twice as many.
    text: usize,
    /// The first digits of each fingerprint.
    digits: usize,
}

/// From generous to those with which any line fits.
static LIMITS: [TextLimits; 3] = [
    TextLimits { text: 1024, digits: 32 },
    TextLimits { text: 1024, digits: 11 },
    TextLimits { text: 96, digits: 11 },
];

/// The most tokens that one line can name: those of the longest batch.
const MOST_TOKENS: usize = 1000;

/// A JSON object that is being written.
pub(super) struct JsonLine {
    out: String,
    limits: &'static TextLimits,
    /// The fields that were cut.
    cut: Vec<&'static str>,
}

/// What `write` writes, with a line break, in at most `longest` bytes: values are cut to fit, and the
/// field `cut` names them.
pub(super) fn render(longest: usize, write: impl Fn(&mut JsonLine)) -> Vec<u8> {
    let mut line = JsonLine { out: String::with_capacity(768), limits: &LIMITS[0], cut: Vec::new() };
    for limits in &LIMITS {
        line.begin(limits);
        write(&mut line);
        line.end();
        if line.out.len() <= longest {
            break;
        }
    }
    line.out.into_bytes()
}

impl JsonLine {
    fn begin(&mut self, limits: &'static TextLimits) {
        self.out.clear();
        self.cut.clear();
        self.limits = limits;
    }

    fn key(&mut self, name: &'static str) {
        self.out.push_str(if self.out.is_empty() { "{\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// Any text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.escaped(name, text, self.limits.text);
    }

    /// A SPIFFE ID has up to 2,048 bytes.
    pub(super) fn wide_text(&mut self, name: &'static str, text: &str) {
        self.escaped(name, text, 2 * self.limits.text);
    }

    fn escaped(&mut self, name: &'static str, text: &str, most: usize) {
        if text.is_empty() {
            return;
        }
        self.key(name);
        self.out.push('"');
        if !push_escaped(&mut self.out, text, most) {
            self.cut.push(name);
        }
        self.out.push('"');
    }

    /// One of our own names, which needs no escape.
    pub(super) fn name(&mut self, name: &'static str, value: &'static str) {
        if !value.is_empty() {
            self.raw(name, format_args!("\"{value}\""));
        }
    }

    pub(super) fn time(&mut self, name: &'static str, time: UnixMillis) {
        let time = UNIX_EPOCH + Duration::from_millis(time.get());
        self.raw(name, format_args!("\"{}\"", humantime::format_rfc3339_millis(time)));
    }

    pub(super) fn raw(&mut self, name: &'static str, value: std::fmt::Arguments<'_>) {
        self.key(name);
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(value);
    }

    pub(super) fn fingerprints(&mut self, fingerprints: &[Fingerprint]) {
        let digits = self.limits.digits;
        match fingerprints {
            [] => {}
            [one] => self.raw("fingerprint", format_args!("\"{one}\"")),
            many => {
                self.key("fingerprints");
                for (index, fingerprint) in many.iter().take(MOST_TOKENS).enumerate() {
                    self.out.push_str(if index == 0 { "[\"" } else { ",\"" });
                    let _ = write!(self.out, "{fingerprint:.digits$}\"");
                }
                self.out.push(']');
                if many.len() > MOST_TOKENS || digits < 32 {
                    self.cut.push("fingerprints");
                }
            }
        }
    }

    fn end(&mut self) {
        for index in 0..self.cut.len() {
            if index == 0 {
                self.key("cut");
            }
            self.out.push_str(if index == 0 { "[\"" } else { ",\"" });
            self.out.push_str(self.cut[index]);
            self.out.push('"');
        }
        self.out.push_str(if self.cut.is_empty() { "}\n" } else { "]}\n" });
    }
}
