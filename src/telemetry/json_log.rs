//! A line of the log as JSON: one object.

use serde_json::Value;

use super::fields::Fields;
use crate::json_line::push_ascii;

/// In printable ASCII.
pub(super) fn render(line: &Fields) -> String {
    let mut text = String::new();
    push_ascii(&mut text, &Value::Object(line.0.clone()).to_string());
    text
}
