//! Hexadecimal digits, RFC 4648, and UUIDs written in them.

/// The two lower-case digits of a byte, in ASCII.
pub(crate) const fn lower(byte: u8) -> [u8; 2] {
    [digit(byte >> 4, b'a'), digit(byte & 0x0f, b'a')]
}

/// The two upper-case digits of a byte, in ASCII.
pub(crate) const fn upper(byte: u8) -> [u8; 2] {
    [digit(byte >> 4, b'A'), digit(byte & 0x0f, b'A')]
}

/// Computed and not looked up, so that the compiler takes many at once.
const fn digit(value: u8, ten: u8) -> u8 {
    value + if value < 10 { b'0' } else { ten - 10 }
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

/// A random UUID, RFC 9562, version 4, in its dashed lower-case form: a token's nonce, a request id, a
/// key of the command `dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid4([u8; 36]);

impl Uuid4 {
    /// A version 4 UUID from 16 random bytes, of which it keeps 122 bits.
    #[must_use]
    pub const fn random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self::from_bytes(bytes)
    }

    /// The UUID of exactly these bytes, of any version: for test vectors.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut text = [b'-'; 36];
        let (mut from, mut to) = (0, 0);
        while from < 16 {
            if matches!(to, 8 | 13 | 18 | 23) {
                to += 1;
            }
            [text[to], text[to + 1]] = lower(bytes[from]);
            from += 1;
            to += 2;
        }
        Self(text)
    }

    /// The UUID's text, ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
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
