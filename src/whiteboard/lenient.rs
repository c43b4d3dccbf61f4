//! An answer taken to pieces, each field's or item's text by itself: what is wrong with one takes no other with it.
//!
//! What was paid for may stand in an answer that is not quite JSON. A value is skipped whole by the grammar alone, so that
//! a number may be too large, and nesting as deep as it likes; in what is no value, the next name is looked for.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Map, Value};

/// How often reading is taken up again behind what is damaged: each time it may look through all that is left.
const MOST_DAMAGE: usize = 100;

/// A body's text. A byte order mark is dropped, and what is not UTF-8 replaced.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))
}

/// The names and values of an object, in their order, and a name as often as it stands there. A value that is none is
/// empty.
pub(super) fn fields(text: &str) -> Option<Vec<(String, &str)>> {
    let mut rest = text.trim_start().strip_prefix('{')?;
    let (mut found, mut damage) = (Vec::new(), 0);
    while let Some(at) = rest.find('"').filter(|_| damage < MOST_DAMAGE) {
        let Some((name, after)) = split(&rest[at..]) else {
            (rest, damage) = (&rest[at + 1..], damage + 1);
            continue;
        };
        let Some(value) = after.trim_start().strip_prefix(':') else {
            // If a quote is missing, what ends one text begins the next.
            (rest, damage) = (&rest[at + name.len() - 1..], damage + 1);
            continue;
        };
        let value = value.trim_start();
        let (value, after) = split(value).unwrap_or(("", value));
        let end = after.trim_start();
        let is_whole = !value.is_empty() && (end.is_empty() || end.starts_with([',', '}']));
        damage += usize::from(!is_whole);
        let is_cut = !is_whole && value.starts_with('"');
        rest = if is_cut { &rest[rest.len() - after.len() - 1..] } else { after };
        if let Ok(name) = serde_json::from_str(name) {
            found.push((name, value));
        }
    }
    (!found.is_empty() || split(text).is_some()).then_some(found)
}

/// The items of a list, in their order. One that is damaged may be more than one.
pub(super) fn items(text: &str) -> Option<Vec<&str>> {
    let mut rest = text.trim_start().strip_prefix('[')?;
    let (mut found, mut damage) = (Vec::new(), 0);
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if rest.is_empty() || rest.starts_with(']') {
            return Some(found);
        }
        let (item, after) = split(rest).unwrap_or_else(|| {
            damage += 1;
            let next = if rest.starts_with('{') { '{' } else { ',' };
            let end = rest.char_indices().skip(1).find(|(_, c)| *c == next && damage < MOST_DAMAGE);
            rest.split_at(end.map_or(rest.len(), |(end, _)| end))
        });
        found.push(item);
        rest = after;
    }
}

/// A value; of an object what can be read, and of a name that stands there more than once the first that says something.
pub(super) fn value(text: &str) -> Option<Value> {
    let Some(fields) = fields(text) else { return serde_json::from_str(text).ok() };
    let mut object = Map::new();
    for (name, value) in fields {
        let value = serde_json::from_str(value).unwrap_or_default();
        let known = object.entry(name).or_insert(Value::Null);
        if known.is_null() {
            *known = value;
        }
    }
    Some(Value::Object(object))
}

/// The value that a text begins with, and what follows.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    text.split_at_checked(values.byte_offset())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_field_is_found_whatever_is_wrong_beside_it() {
        let deep = format!(r#"{{"x":{}{},"uuid":"abc"}}"#, "[".repeat(50_000), "]".repeat(50_000));
        for answer in [
            r#"{"uuid":"abc","limit":1e999}"#,
            r#"{"limit":1e999,"uuid":"abc"}"#,
            r#"{"name":"\ud800","uuid":"abc"}"#,
            r#"{"limit":NaN,"uuid":"abc"}"#,
            r#"{"a":{"b":NaN,"c":"}"},"uuid":"abc"}"#,
            r#"{"a":{"b":["x"},"uuid":"abc"}"#,
            r#"{"uuid":null,"uuid":"abc"}"#,
            r#"{"uuid":"abc","uuid":null}"#,
            r#"{"uuid":"abc"}x"#,
            r#"{"uuid":"abc""#,
            r#"{"uuid":"abc",,"#,
            r#"{"name":"x,"uuid":"abc"}"#,
            r#"{"name":x","uuid":"abc"}"#,
            r#"{"name":"x\","uuid":"abc"}"#,
            "{\"name\":\"x\ny\",\"uuid\":\"abc\"}",
            r#"{'name':'x',"uuid":"abc"}"#,
            "\n { \"uuid\" : \"abc\" } ",
            &deep,
        ] {
            let start: String = answer.chars().take(80).collect();
            assert_eq!(value(answer).unwrap()["uuid"], "abc", "{start}");
        }
    }

    #[test]
    fn a_field_of_another_object_is_none_of_this_one() {
        for answer in
            [r#"{"error":{"uuid":"abc"}}"#, r#"{"x":"\"uuid\":\"abc\""}"#, r#"{"x":[{"uuid":"abc"}]}"#]
        {
            assert_eq!(value(answer).unwrap()["uuid"], Value::Null, "{answer}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for answer in ["", "{", "{<html>\"x\"</html>", "<html>", "x{\"uuid\":\"abc\"}", "[]", "\"{}\"", "7"] {
            assert_eq!(fields(answer), None, "{answer}");
        }
        assert_eq!(fields("{}"), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_item_takes_no_other_with_it() {
        let list = r#"[{"uuid":"a"},{"uuid":"b","limit":NaN}, {"uuid":"c"}x,{"uuid":"d"},7,"#;
        let uuids: Vec<_> = items(list)
            .unwrap()
            .into_iter()
            .map(|item| value(item)?["uuid"].as_str().map(str::to_owned))
            .collect();
        let uuids: Vec<_> = uuids.iter().flatten().collect();
        assert_eq!(uuids, ["a", "b", "c", "d"]);
        assert_eq!(items(r#"["/a",x,"/b"]"#), Some(vec!["\"/a\"", "x", "\"/b\""]));
        assert_eq!((items("[ ]"), items("{}")), (Some(vec![]), None));
    }

    #[test]
    fn no_damage_costs_more_than_its_bound() {
        for part in ["{\"a\":", "\"\\\"", "[", "{", "\"", "{\"a\":[", "\"a\":NaN,", "\\\""] {
            let began = Instant::now();
            for start in ["{", "["] {
                let answer = format!("{start}{}", part.repeat(128 * 1024 / part.len()));
                value(&answer);
                items(&answer).into_iter().flatten().take(2).for_each(|item| drop(value(item)));
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{part}: {:?}", began.elapsed());
        }
    }
}
