//! Text as the inside of a JSON string, in printable ASCII and nothing else: no line break, no
//! control, no terminal's escape and no bidirectional mark gets through as it is.

/// Appends `text`, escaped to at most `most` bytes. False if it was cut, which splits no character.
pub(super) fn push_escaped(out: &mut String, text: &str, most: usize) -> bool {
    let end = out.len() + most;
    let mut rest = text;
    loop {
        let plain = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        let room = end - out.len();
        if plain > room {
            out.push_str(&rest[..room]);
            return false;
        }
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(special) = rest.chars().next() else { return true };
        let mut escape = Escape::default();
        escape.write(special);
        if out.len() + escape.as_str().len() > end {
            return false;
        }
        out.push_str(escape.as_str());
        rest = &rest[special.len_utf8()..];
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// The escape of one character: at most a pair of surrogates.
#[derive(Default)]
struct Escape {
    bytes: [u8; 12],
    length: usize,
}

impl Escape {
    fn write(&mut self, special: char) {
        match special {
            '"' => self.push(b"\\\""),
            '\\' => self.push(b"\\\\"),
            '\n' => self.push(b"\\n"),
            '\r' => self.push(b"\\r"),
            '\t' => self.push(b"\\t"),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    self.push(b"\\u");
                    for shift in [12, 8, 4, 0] {
                        self.push(&[b"0123456789abcdef"[usize::from(*unit >> shift & 0xf)]]);
                    }
                }
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
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
