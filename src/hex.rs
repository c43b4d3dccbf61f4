//! Hexadecimal digits: RFC 4648, base 16.

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// The two lower-case digits of a byte, in ASCII.
pub(crate) const fn lower(byte: u8) -> [u8; 2] {
    [LOWER[(byte >> 4) as usize], LOWER[(byte & 0x0f) as usize]]
}

/// The two upper-case digits of a byte, in ASCII.
pub(crate) const fn upper(byte: u8) -> [u8; 2] {
    [UPPER[(byte >> 4) as usize], UPPER[(byte & 0x0f) as usize]]
}

/// Appends bytes in lower-case digits.
pub(crate) fn push<const N: usize>(out: &mut String, bytes: &[u8; N]) {
    out.push_str(std::str::from_utf8(bytes.map(lower).as_flattened()).unwrap_or_default());
}

/// Bytes in lower-case digits.
pub(crate) fn encode<const N: usize>(bytes: &[u8; N]) -> String {
    let mut text = String::with_capacity(2 * N);
    push(&mut text, bytes);
    text
}

/// Reads exactly N bytes, in digits of either case.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = text.as_bytes().as_chunks() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = decode_byte(*pair)?;
    }
    Some(bytes)
}

/// Reads two digits of either case.
pub(crate) fn decode_byte(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_and_read_back() {
        let bytes: [u8; 256] = std::array::from_fn(|byte| u8::try_from(byte).unwrap());
        let text = encode(&bytes);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(decode(&text), Some(bytes));
        assert_eq!(decode(&text.to_uppercase()), Some(bytes));
        assert_eq!((lower(0xfa), upper(0xfa)), (*b"fa", *b"FA"));
    }

    #[test]
    fn what_is_not_exactly_so_many_bytes_is_refused() {
        for text in ["", "0", "00", "000", "00000", "000000", "0g00", "+000", "00é"] {
            assert_eq!(decode::<2>(text), None, "{text}");
        }
    }
}
