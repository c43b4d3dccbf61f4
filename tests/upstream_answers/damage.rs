//! Changes of an answer's text: bytes that are not quite JSON, one place at a time.

use std::ops::Range;

/// How many bytes of an answer are changed, each in a try of its own.
const COUNT: usize = 120;

/// Fields that a strict reader stumbles over.
fn odd_fields(kept: &str) -> Vec<Vec<u8>> {
    let deep = format!(r#""aNewField":{}{}"#, "[".repeat(5_000), "]".repeat(5_000));
    let twice = format!(r#""{kept}":null"#);
    let texts = [
        r#""aNewField":1e999"#,
        r#""aNewField":NaN"#,
        r#""aNewField":"\ud800""#,
        r#""aNewField":{"a":[1,}"#,
        r#""aNewField":"x"#,
        r#""aNewField":"\""#,
        r#""aNewField" 1"#,
        "\"aNewField\":\"\n\"",
        "aNewField:1",
        r"'aNewField':'{'",
        &deep,
        &twice,
    ];
    let fields = texts.iter().map(|text| text.as_bytes().to_vec());
    fields.chain([b"\"aNewField\":\"\xff\xfe\"".to_vec()]).collect()
}

/// The text with something put in at this place.
fn with(text: &str, at: usize, parts: &[&[u8]]) -> Vec<u8> {
    [&text.as_bytes()[..at], &parts.concat(), &text.as_bytes()[at..]].concat()
}

/// Answers around which, or beside whose fields, something is wrong: nothing of them may be lost.
pub(super) fn beside(text: &str, kept: &str) -> Vec<Vec<u8>> {
    let mut all = vec![with(text, 0, &[b"\xef\xbb\xbf"]), with(text, text.len(), &[b"x"])];
    match (text.find('{'), text.rfind('}')) {
        // Nothing stands in it that could be lost.
        _ if text == "{}" => {}
        (Some(first), Some(last)) => {
            for field in odd_fields(kept) {
                all.push(with(text, first + 1, &[&field, b","]));
                all.push(with(text, last, &[b",", &field]));
            }
        }
        _ => all.extend([&b"NaN"[..], b"1e999", b"\"\\ud800\""].map(|item| with(text, 1, &[item, b","]))),
    }
    all
}

/// The answer of success with one of the vendor's error codes in it, if it is an object.
pub(super) fn with_a_code(text: &str) -> Option<Vec<u8>> {
    let comma: &[u8] = if text == "{}" { b"" } else { b"," };
    text.starts_with('{').then(|| with(text, 1, &[br#""errorCode":"2010606""#, comma]))
}

/// An object that says something with one byte changed, and where.
pub(super) fn bytes(text: &str) -> Vec<(usize, Vec<u8>)> {
    const BYTES: &[u8] = b"\"{}[]\\,:x\xff\x00\n";
    if !text.starts_with('{') || text == "{}" {
        return Vec::new();
    }
    let step = (text.len() / COUNT).max(1);
    let changed = |(nth, at): (usize, usize)| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = BYTES[nth % BYTES.len()];
        (at, bytes)
    };
    (1..text.len()).step_by(step).enumerate().map(changed).collect()
}

/// Where a field with this text stands.
pub(super) fn place_of(answer: &str, field: &str, text: &str) -> Range<usize> {
    let field = format!(r#""{field}":"{text}""#);
    let start = answer.find(&field).unwrap();
    start..start + field.len()
}
