//! JSON in printable ASCII and nothing else: no line break, control character, terminal escape or
//! bidirectional mark gets through unescaped. An object is written field by field, within a limit.

use std::fmt::Write;

use crate::{clock::UnixMillis, hex, token::Fingerprint};

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

/// How long most lines are at most, in bytes.
const USUAL: usize = 768;

/// A JSON object that is being written.
pub(crate) struct JsonLine {
    out: String,
    limits: &'static TextLimits,
    /// The fields that were cut.
    cut: Vec<&'static str>,
}

/// What `write` writes, with a line break, in at most `longest` bytes: values are cut to fit, and the
/// field `cut` names them.
pub(crate) fn render(longest: usize, write: impl Fn(&mut JsonLine)) -> Box<[u8]> {
    let mut line = JsonLine { out: String::with_capacity(USUAL), limits: &LIMITS[0], cut: Vec::new() };
    for limits in &LIMITS {
        line.begin(limits);
        write(&mut line);
        line.end();
        if line.out.len() <= longest {
            break;
        }
    }
    line.out.into_bytes().into()
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
    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.escaped(name, text, self.limits.text);
    }

    /// A SPIFFE ID has up to 2,048 bytes.
    pub(crate) fn wide_text(&mut self, name: &'static str, text: &str) {
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
    pub(crate) fn name(&mut self, name: &'static str, value: &'static str) {
        if !value.is_empty() {
            self.quoted(name, value);
        }
    }

    /// A text that needs no escape.
    fn quoted(&mut self, name: &'static str, text: &str) {
        self.key(name);
        self.out.push('"');
        self.out.push_str(text);
        self.out.push('"');
    }

    pub(crate) fn time(&mut self, name: &'static str, time: UnixMillis) {
        self.raw(name, format_args!("\"{}\"", humantime::format_rfc3339_millis(time.system_time())));
    }

    pub(crate) fn raw(&mut self, name: &'static str, value: std::fmt::Arguments<'_>) {
        self.key(name);
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(value);
    }

    pub(crate) fn fingerprints(&mut self, fingerprints: &[Fingerprint]) {
        let digits = self.limits.digits;
        match fingerprints {
            [] => {}
            [one] => {
                self.key("fingerprint");
                self.out.push('"');
                one.push_digits(&mut self.out, 32);
                self.out.push('"');
            }
            many => {
                self.key("fingerprints");
                for (index, fingerprint) in many.iter().take(MOST_TOKENS).enumerate() {
                    self.out.push_str(if index == 0 { "[\"" } else { ",\"" });
                    fingerprint.push_digits(&mut self.out, digits);
                    self.out.push('"');
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

/// Appends `text` as the inside of a JSON string, escaped to at most `most` bytes. False if it was cut, which splits
/// no character.
pub(crate) fn push_escaped(out: &mut String, text: &str, most: usize) -> bool {
    let end = out.len() + most;
    let mut rest = text;
    loop {
        let plain = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        let space = end - out.len();
        if plain > space {
            out.push_str(&rest[..space]);
            return false;
        }
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(special) = rest.chars().next() else { return true };
        let before = out.len();
        match special {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => push_code_units(out, other),
        }
        if out.len() > end {
            out.truncate(before);
            return false;
        }
        rest = &rest[special.len_utf8()..];
    }
}

/// Appends a JSON document, its characters outside printable ASCII escaped: they are in its strings alone.
pub(crate) fn push_ascii(out: &mut String, json: &str) {
    for c in json.chars() {
        match c {
            ' '..='~' => out.push(c),
            other => push_code_units(out, other),
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Appends `\u` and four digits for each UTF-16 code unit.
fn push_code_units(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str("\\u");
        hex::push(out, &unit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_printable_ascii_and_reads_back_as_it_was() {
        let every = (0..=0x2_0400_u32).filter_map(char::from_u32).chain(['\u{10ffff}']).collect::<String>();
        let mut out = String::new();
        assert!(push_escaped(&mut out, &every, usize::MAX / 2));
        assert!(out.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert_eq!(serde_json::from_str::<String>(&format!("\"{out}\"")).unwrap(), every);
    }

    #[test]
    fn a_cut_splits_neither_a_character_nor_an_escape() {
        for (text, most, kept) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("ab\n", 4, "ab\\n"),
            ("ab\n", 3, "ab"),
            ("é", 5, ""),
            ("é", 6, "\\u00e9"),
            ("🎨", 11, ""),
            ("🎨", 12, "\\ud83c\\udfa8"),
            ("a", 0, ""),
        ] {
            let mut out = String::from("before");
            let whole = push_escaped(&mut out, text, most);
            assert_eq!(out, format!("before{kept}"), "{text:?} in {most}");
            assert_eq!(whole, serde_json::from_str::<String>(&format!("\"{kept}\"")).unwrap() == text);
        }
    }
}
