//! Reads the headers of HTTP/2's frames as they come in. RFC 9113, sections 3.4 and 4.1.

use std::{io, time::Instant};

use super::resets::{Kind, Resets};

/// The client's first bytes.
const PREFACE: usize = 24;

/// A frame's header: its length in three bytes, its type, flags, and its stream.
const HEADER: usize = 9;

/// What a client has sent so far, without its payloads.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    /// A header of which a part has come.
    header: [u8; HEADER],
    filled: usize,
    has_preface: bool,
    began: Instant,
    /// The newest stream.
    newest: u32,
    has_called: bool,
    resets: Resets,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            filled: 0,
            has_preface: false,
            began: Instant::now(),
            newest: 0,
            has_called: false,
            resets: Resets::default(),
        }
    }

    /// Whether the preface has come.
    pub(super) const fn has_preface(&self) -> bool {
        self.has_preface
    }

    /// How many calls have begun, or more: a client may leave numbers out.
    pub(super) const fn calls(&self) -> u32 {
        self.newest.div_ceil(2)
    }

    /// Whether the headers of a call have come, all of them.
    pub(super) const fn has_called(&self) -> bool {
        self.has_called
    }

    /// Goes on with these bytes. So many of the connection's calls have ended at their own deadline until now.
    ///
    /// # Errors
    /// The client resets too many of its calls, or sends too many frames that are no part of one.
    pub(super) fn read(&mut self, mut bytes: &[u8], at_deadline: u32) -> io::Result<()> {
        loop {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            if self.skip > 0 {
                return Ok(());
            }
            self.has_preface = true;
            let taken = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            (self.filled, bytes) = (self.filled + taken, &bytes[taken..]);
            if self.filled < HEADER {
                return Ok(());
            }
            self.filled = 0;
            let [a, b, c, kind, flags, stream @ ..] = self.header;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            // The first bit is reserved, and ignored.
            let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
            if let Some(kind) = self.kind(kind, flags, stream) {
                let now = u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX);
                self.resets.count(kind, now, at_deadline)?;
            }
        }
    }

    /// What counts; `None`: a call's own, which h2 counts.
    fn kind(&mut self, kind: u8, flags: u8, stream: u32) -> Option<Kind> {
        const END_HEADERS: u8 = 4;
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const CONTINUATION: u8 = 9;
        self.has_called |= matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
        match kind {
            HEADERS if stream > self.newest => {
                self.newest = stream;
                Some(Kind::Call(stream))
            }
            // Trailers begin no call.
            HEADERS | DATA | CONTINUATION => None,
            RST_STREAM => Some(Kind::Reset(stream)),
            _ => Some(Kind::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_BEGINS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[..], &[kind, 4], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn frames_are_seen_however_their_bytes_come() {
        let text = [
            CLIENT_BEGINS.to_vec(),
            frame(4, 0, &[0; 12]),
            // A payload that looks like resets.
            frame(0, 1, &frame(3, 1, &[0; 4]).repeat(1000)),
            frame(1, 1, &[9; 300]),
            // Trailers.
            frame(1, 1, &[9; 3]),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, text.len()] {
            let mut frames = Frames::new();
            for bytes in text.chunks(size) {
                frames.read(bytes, 0).unwrap();
            }
            assert!(frames.has_preface() && frames.has_called(), "{size}");
            assert_eq!(frames.resets.counted(), (1, 0), "{size}");
        }
    }

    #[test]
    fn half_of_the_headers_are_no_call() {
        let mut frames = Frames::new();
        frames.read(CLIENT_BEGINS, 0).unwrap();
        frames.read(&[0, 0, 1, 1, 0, 0, 0, 0, 1, b'x'], 0).unwrap();
        assert!(!frames.has_called());
        frames.read(&frame(9, 1, b"x"), 0).unwrap();
        assert!(frames.has_called());
    }

    #[test]
    fn a_reserved_bit_hides_no_reset() {
        let mut frames = Frames::new();
        frames.read(CLIENT_BEGINS, 0).unwrap();
        frames.read(&frame(1, 1 << 31 | 1, b""), 0).unwrap();
        frames.read(&frame(3, 1, &[0; 4]), 0).unwrap();
        assert_eq!((frames.newest, frames.resets.counted()), (1, (1, 1)));
    }
}
