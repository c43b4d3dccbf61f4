//! JSON in printable ASCII and nothing else: no line break, control character, terminal escape or
//! bidirectional mark gets through unescaped.

use crate::hex;

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
