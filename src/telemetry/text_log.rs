//! A line of the log as text, for a person.

use std::fmt::Write;

use serde_json::Value;

use super::fields::Fields;

/// What a line begins with, in place of a name and a value.
const FIRST: [&str; 3] = ["timestamp", "level", "message"];

pub(super) fn render(line: &Fields) -> String {
    write(line, |level| format!("{level:>5}"))
}

/// With the level in a terminal's colours.
pub(super) fn render_coloured(line: &Fields) -> String {
    write(line, |level| {
        let colour = match level {
            "ERROR" => 31,
            "WARN" => 33,
            "INFO" => 32,
            _ => 34,
        };
        format!("\u{1b}[{colour}m{level:>5}\u{1b}[0m")
    })
}

fn write(line: &Fields, level: impl Fn(&str) -> String) -> String {
    let [time, name, message] =
        FIRST.map(|name| line.0.get(name).and_then(Value::as_str).unwrap_or_default());
    let mut text = format!("{time} {} ", level(name));
    push_printable(&mut text, message);
    for (name, value) in line.0.iter().filter(|(name, _)| !FIRST.contains(&&***name)) {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::String(value) if is_plain(value) => write!(text, " {name}={value}"),
            Value::String(value) => write!(text, " {name}={value:?}"),
            value => write!(text, " {name}={value}"),
        };
    }
    text
}

/// Escapes what a terminal would act on; quotes stay as they are.
fn push_printable(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\'' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\=".contains(&byte))
}
