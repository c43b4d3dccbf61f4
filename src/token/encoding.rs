//! The token's escapes, to the byte as ECMAScript's `JSON.stringify` and `encodeURIComponent`
//! write them; decoding also accepts form-encoding.

use crate::hex;

/// Appends `text` as the inside of a JSON string.
pub(super) fn push_json(out: &mut Vec<u8>, text: &str) {
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !has_any(text, is_special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex::lower(control));
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends `text` as a component of a query.
pub(super) fn push_component(out: &mut Vec<u8>, text: &str) {
    if !has_any(text, |byte| !is_unreserved(byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_unreserved(byte)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        // A character of several bytes is escaped byte by byte.
        let length = rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..at + length].bytes() {
            out.push(b'%');
            out.extend_from_slice(&hex::upper(byte));
        }
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether `encodeURIComponent` keeps it.
const fn is_unreserved(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    // `'()*` and `-.` are neighbours.
    let is_mark = byte == b'!' || byte.wrapping_sub(b'\'') < 4 || byte.wrapping_sub(b'-') < 2;
    is_letter || is_digit || is_mark || byte == b'_' || byte == b'~'
}

/// Looks at every byte, which is faster than stopping at the first: the compiler takes many at once.
fn has_any(text: &str, is_special: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_special(byte))
}

/// Reads a component of a query: `%XX` in either case, `+` for a space. `None` if an escape is
/// broken, a byte is unescaped that every encoder escapes, or the result is not UTF-8.
pub(super) fn decode_component(component: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                bytes.push(hex::decode_byte(*digits)?);
                rest = tail;
            }
            b'+' => bytes.push(b' '),
            b'!'..=b'~' => bytes.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_ecmascript_does() {
        let mut out = Vec::new();
        push_json(&mut out, "a\"b\\c\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}\u{2028}é🎨");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0001\\u001f\u{7f}\u{2028}é🎨"
        );
    }

    #[test]
    fn the_unreserved_are_those_of_the_specification() {
        let unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()";
        for byte in 0..=u8::MAX {
            assert_eq!(is_unreserved(byte), unreserved.contains(&byte), "{byte}");
        }
    }

    #[test]
    fn a_component_keeps_the_unreserved_and_escapes_the_rest() {
        let mut out = Vec::new();
        push_component(&mut out, "aZ09-_.!~*'() &=%+/é");
        assert_eq!(String::from_utf8(out).unwrap(), "aZ09-_.!~*'()%20%26%3D%25%2B%2F%C3%A9");
    }

    #[test]
    fn decoding_takes_both_escapes_and_refuses_broken_ones() {
        assert_eq!(decode_component("a+b%20c%2b%2B").as_deref(), Some("a b c++"));
        for broken in ["%", "%4", "%zz", "%ff", "a b", "é", "a\u{7f}"] {
            assert_eq!(decode_component(broken), None, "{broken}");
        }
    }
}
