//! Reads the headers of HTTP/2's frames as they come in, and closes the connection of a client that resets its calls.
//!
//! Neither hyper nor h2 has a rule against resets that are paced: h2 counts only those that come before their call
//! began. RFC 9113, sections 3.4, 4.1 and 6.4.

use std::{
    io,
    time::{Duration, Instant},
};

/// The client's first bytes.
const PREFACE: usize = 24;

/// A frame's header: its length in three bytes, its type, flags, and its stream.
const HEADER: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// So many resets in a [`WINDOW`] are too many, if they are more than half of the calls begun in it.
const MOST_RESETS: u32 = 200;
const WINDOW: Duration = Duration::from_secs(10);

/// What a client has sent so far, without its payloads.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    /// A header of which a part has come.
    header: [u8; HEADER],
    filled: usize,
    has_preface: bool,
    /// Calls that were begun, and those that were reset, in this window.
    window: Option<Instant>,
    begun: u32,
    reset: u32,
    has_called: bool,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            filled: 0,
            has_preface: false,
            window: None,
            begun: 0,
            reset: 0,
            has_called: false,
        }
    }

    /// Whether the preface has come.
    pub(super) const fn has_preface(&self) -> bool {
        self.has_preface
    }

    /// Whether a call has begun.
    pub(super) const fn has_called(&self) -> bool {
        self.has_called
    }

    /// Goes on with these bytes.
    ///
    /// # Errors
    /// The client resets too many of its calls.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
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
            let [a, b, c, kind, ..] = self.header;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            self.count(kind)?;
        }
    }

    fn count(&mut self, kind: u8) -> io::Result<()> {
        match kind {
            HEADERS => {
                self.has_called = true;
                self.begun = self.begun.saturating_add(1);
                Ok(())
            }
            RST_STREAM => self.count_reset(Instant::now()),
            _ => Ok(()),
        }
    }

    fn count_reset(&mut self, now: Instant) -> io::Result<()> {
        let window = *self.window.get_or_insert(now);
        if now.duration_since(window) > WINDOW {
            (self.window, self.begun, self.reset) = (Some(now), 0, 0);
        }
        self.reset += 1;
        if self.reset > MOST_RESETS && self.reset > self.begun / 2 {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client resets its calls"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    fn after_the_preface() -> Frames {
        let mut frames = Frames::new();
        frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        frames
    }

    #[test]
    fn frames_are_seen_however_their_bytes_come() {
        let text = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, &[0; 12]),
            // A payload that looks like resets.
            frame(0, &frame(RST_STREAM, &[0; 4]).repeat(1000)),
            frame(HEADERS, &[9; 300]),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, text.len()] {
            let mut frames = Frames::new();
            for bytes in text.chunks(size) {
                frames.read(bytes).unwrap();
            }
            assert!(frames.has_preface() && frames.has_called(), "{size}");
            assert_eq!((frames.begun, frames.reset), (1, 0), "{size}");
        }
    }

    #[test]
    fn a_client_that_resets_half_of_its_calls_is_closed_and_one_that_does_now_and_then_is_not() {
        let reset = [frame(HEADERS, b""), frame(RST_STREAM, &[0; 4])].concat();
        let mut frames = after_the_preface();
        let closed_after = (0..1000).find(|_| frames.read(&reset).is_err());
        assert_eq!(closed_after, Some(MOST_RESETS as usize));

        let now_and_then = [frame(HEADERS, b"").repeat(3), reset].concat();
        let mut frames = after_the_preface();
        assert!((0..1000).all(|_| frames.read(&now_and_then).is_ok()));
    }

    #[test]
    fn old_resets_do_not_count() {
        let (mut frames, start) = (after_the_preface(), Instant::now());
        for index in 0..10 * MOST_RESETS {
            frames.begun += 1;
            frames.count_reset(start + WINDOW * index / 100).unwrap();
        }
    }
}
