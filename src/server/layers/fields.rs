//! How many fields a message has, counted while it is being received.
//!
//! An element of a list takes two bytes of a message, and a hundred of memory once it is decoded: a batch of half a
//! megabyte of them would take thirty. Wire format: the Protocol Buffers documentation, "Encoding".

/// No request has more, not even the largest batch. A message of 4 KiB cannot have more.
const MOST: usize = 2048;

/// Counts the fields of one message, those within its fields not among them.
#[derive(Default)]
pub(super) struct FieldCount {
    fields: usize,
    next: Next,
}

/// What the next byte is.
#[derive(Clone, Copy, Default)]
enum Next {
    /// The first of a tag.
    #[default]
    Tag,
    /// Of a tag, whose first byte was this.
    RestOfTag(u8),
    /// Of a number.
    Number,
    /// Of the length of a text or message: what is known of it, and the bits that come next.
    Length(usize, u32),
    /// Of the content: so many are left.
    Content(usize),
}

impl FieldCount {
    /// Goes on with these bytes. `false`: there are too many fields.
    ///
    /// What is no message of protobuf is counted in some way, and refused when it is decoded.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if let Next::Content(left) = self.next {
                let skipped = left.min(rest.len());
                rest = &rest[skipped..];
                self.next = Next::content(left - skipped);
                continue;
            }
            rest = tail;
            self.next = self.after(byte);
            if self.fields > MOST {
                return false;
            }
        }
        true
    }

    fn after(&mut self, byte: u8) -> Next {
        let is_last = byte < 0x80;
        match self.next {
            Next::Tag if is_last => self.field(byte),
            Next::Tag => Next::RestOfTag(byte),
            Next::RestOfTag(first) if is_last => self.field(first),
            Next::Number if is_last => Next::Tag,
            Next::Length(known, shift) => {
                let known = known | usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
                if is_last { Next::content(known) } else { Next::Length(known, shift.saturating_add(7)) }
            }
            next => next,
        }
    }

    /// After a tag: its lowest three bits say what comes.
    fn field(&mut self, first: u8) -> Next {
        self.fields += 1;
        match first & 0x07 {
            0 => Next::Number,
            1 => Next::Content(8),
            2 => Next::Length(0, 0),
            5 => Next::Content(4),
            _ => Next::Tag,
        }
    }
}

impl Next {
    const fn content(left: usize) -> Self {
        if left == 0 { Self::Tag } else { Self::Content(left) }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::{BatchIssueTokensRequest, IssueTokenRequest, RoomScope, issue_token_request::Scope};

    fn batch(requests: usize) -> Vec<u8> {
        let scope = Some(Scope::Room(RoomScope { uuid: "u".repeat(200), access_key: String::new() }));
        let request = IssueTokenRequest { scope, role: 300, ..IssueTokenRequest::default() };
        BatchIssueTokensRequest { requests: vec![request; requests] }.encode_to_vec()
    }

    #[test]
    fn fields_are_counted_however_they_are_cut() {
        let message = batch(MOST);
        for piece in [1, 2, 3, 100, 4096, message.len()] {
            let mut count = FieldCount::default();
            assert!(message.chunks(piece).all(|bytes| count.read(bytes)), "{piece}");
            assert_eq!(count.fields, MOST, "{piece}");
            assert!(!count.read(&batch(1)), "one more is too many");
        }
    }

    #[test]
    fn every_kind_of_field_counts() {
        // A number, eight bytes, a text, a tag of two bytes, four bytes, an end without a group.
        let message = [8, 0xff, 1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 18, 1, 8, 0x82, 1, 0, 13, 1, 2, 3, 4, 12];
        let mut count = FieldCount::default();
        assert!(count.read(&message));
        assert_eq!(count.fields, 6);
    }

    #[test]
    fn what_is_no_message_ends_too() {
        let mut count = FieldCount::default();
        for byte in 0..=u8::MAX {
            count.read(&[byte; 4096]);
        }
    }
}
