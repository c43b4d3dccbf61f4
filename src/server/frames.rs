//! Reads the headers of HTTP/2's frames as they come in, and closes the connection of a client that resets its calls, or that
//! sends frames which ask for nothing.
//!
//! Neither hyper nor h2 has a rule against resets that are paced: h2 counts only those that come before their call
//! began. Nor against PING, SETTINGS, PRIORITY and `WINDOW_UPDATE`. RFC 9113, sections 3.4, 4.1 and 6.

use std::{io, time::Instant};

/// The client's first bytes.
const PREFACE: usize = 24;

/// A frame's header: its length in three bytes, its type, flags, and its stream.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// A reset is premature if its call began so shortly before, and its deadline was not over: a caller that has lost its
/// patience is later.
const PREMATURE_MILLIS: u32 = 1000;

/// More premature resets than this in a [`WINDOW`] are too many, if they are more than half of the calls begun in it.
const MANY_RESETS: u32 = 200;

/// More are too many in any case.
const MOST_RESETS: u32 = 1000;

/// More resets than this that are not premature are too many, if they are more than nine in ten of the calls begun.
const MANY_LATE_RESETS: u32 = 500;

/// More frames that are no part of a call are too many, and so many more for each call: a long answer's windows take two
/// for each of its pieces.
const MOST_OTHERS: u32 = 5000;
const MOST_OTHERS_OF_CALL: u32 = 200;
const WINDOW_MILLIS: u32 = 10_000;

/// How many calls are remembered: as many as may be under way.
const REMEMBERED: usize = 128;

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
    /// The last calls by their streams, and when each began, in milliseconds since the connection did.
    calls: Box<[(u32, u32); REMEMBERED]>,
    /// The place of the next one.
    next: usize,
    /// When this window began, and how many calls had ended at their deadline before it; what was begun in it, prematurely
    /// reset, and reset later; and frames of other kinds.
    window: u32,
    at_deadline_before: u32,
    begun: u32,
    reset: u32,
    reset_late: u32,
    others: u32,
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
            calls: Box::new([(0, 0); REMEMBERED]),
            next: 0,
            window: 0,
            at_deadline_before: 0,
            begun: 0,
            reset: 0,
            reset_late: 0,
            others: 0,
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

    /// Whether a call has begun.
    pub(super) const fn has_called(&self) -> bool {
        self.newest > 0
    }

    /// Goes on with these bytes. So many of the connection's calls have ended at their own deadline until now: their resets
    /// count for nothing.
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
            let [a, b, c, kind, _, stream @ ..] = self.header;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            // A call's own, which h2 counts.
            if !matches!(kind, DATA | CONTINUATION) {
                let now = u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX);
                // The first bit is reserved, and ignored.
                self.count(kind, u32::from_be_bytes(stream) & 0x7fff_ffff, now, at_deadline)?;
            }
        }
    }

    fn count(&mut self, kind: u8, stream: u32, now: u32, at_deadline: u32) -> io::Result<()> {
        if now.saturating_sub(self.window) > WINDOW_MILLIS {
            (self.window, self.at_deadline_before) = (now, at_deadline);
            (self.begun, self.reset, self.reset_late, self.others) = (0, 0, 0, 0);
        }
        match kind {
            HEADERS if stream > self.newest => {
                self.newest = stream;
                self.begun += 1;
                self.calls[self.next] = (stream, now);
                self.next = (self.next + 1) % REMEMBERED;
            }
            HEADERS => {}
            RST_STREAM => {
                if let Some((call, began)) = self.calls.iter_mut().find(|(of, _)| *of == stream) {
                    let is_premature = now.saturating_sub(*began) < PREMATURE_MILLIS;
                    *(if is_premature { &mut self.reset } else { &mut self.reset_late }) += 1;
                    *call = 0;
                }
            }
            _ => self.others += 1,
        }
        let excused = at_deadline.wrapping_sub(self.at_deadline_before);
        let counted = (self.reset + self.reset_late).saturating_sub(excused);
        let (reset, reset_late) = (self.reset.min(counted), self.reset_late.min(counted));
        let is_flood = reset > MANY_RESETS && reset > self.begun / 2;
        let is_late_flood = reset_late > MANY_LATE_RESETS && reset_late > self.begun / 10 * 9;
        if is_flood || is_late_flood || reset > MOST_RESETS {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client resets its calls"));
        }
        if self.others > MOST_OTHERS + self.begun.saturating_mul(MOST_OTHERS_OF_CALL) {
            let why = "the client sends frames that ask for nothing";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn frames_are_seen_however_their_bytes_come() {
        let text = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, &[0; 12]),
            // A payload that looks like resets.
            frame(0, 1, &frame(RST_STREAM, 1, &[0; 4]).repeat(1000)),
            frame(HEADERS, 1, &[9; 300]),
            // Trailers begin no call.
            frame(HEADERS, 1, &[9; 3]),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, text.len()] {
            let mut frames = Frames::new();
            for bytes in text.chunks(size) {
                frames.read(bytes, 0).unwrap();
            }
            assert!(frames.has_preface() && frames.has_called(), "{size}");
            assert_eq!((frames.begun, frames.reset), (1, 0), "{size}");
        }
    }

    /// After how many calls, of which every `nth` is reset so late, the connection ends; 0: it does not.
    fn ends_after(nth: u32, late: u32) -> u32 {
        let mut frames = Frames::new();
        // A hundred calls a second.
        let is_fine = |call: &u32| {
            let (stream, now) = (2 * call + 1, call * 10);
            frames.count(HEADERS, stream, now, 0).is_ok()
                && (!call.is_multiple_of(nth) || frames.count(RST_STREAM, stream, now + late, 0).is_ok())
        };
        let fine = (0..5000).take_while(is_fine).count();
        if fine == 5000 { 0 } else { u32::try_from(fine).unwrap() }
    }

    #[test]
    fn who_resets_half_of_its_calls_at_once_is_ended_and_who_does_now_and_then_or_late_is_not() {
        assert_eq!((ends_after(1, 0), ends_after(1, 999)), (MANY_RESETS, MANY_RESETS));
        assert_eq!((ends_after(2, 0), ends_after(3, 0)), (400, 0));
        // Late ones, if they are nearly all.
        assert_eq!((ends_after(1, 1000), ends_after(2, 1000)), (MANY_LATE_RESETS, 0));
    }

    #[test]
    fn resets_of_calls_that_ended_at_their_deadline_count_for_nothing_and_excuse_no_others() {
        // A hundred calls a second, all reset after so long, of which every `nth` ends at its deadline.
        let calls_until_end = |late: u32, nth: u32| {
            let mut frames = Frames::new();
            let is_fine = |call: &u32| {
                let (stream, now, over) = (2 * call + 1, call * 10, call / nth);
                frames.count(HEADERS, stream, now, over).is_ok()
                    && frames.count(RST_STREAM, stream, now + late, over).is_ok()
            };
            (0..5000).take_while(is_fine).count()
        };
        assert_eq!((calls_until_end(200, 1), calls_until_end(2000, 1)), (5000, 5000));
        // Half of them; a third is less than nine in ten if they are late.
        assert_eq!(calls_until_end(200, 3), 299, "two thirds are more than half");
        assert_eq!(calls_until_end(2000, 3), 5000);
    }

    #[test]
    fn frames_that_ask_for_nothing_end_the_connection_unless_they_go_with_calls() {
        let ping = |frames: &mut Frames, now| frames.count(6, 0, now, 0).is_ok();
        let mut frames = Frames::new();
        assert_eq!((0..u32::MAX).take_while(|_| ping(&mut frames, 0)).count(), MOST_OTHERS as usize);
        // A hundred a second are no flood, and so are those of answers.
        let mut frames = Frames::new();
        assert!((0..100_000).all(|number| ping(&mut frames, number * 10)));
        let mut frames = Frames::new();
        assert!((0..1000).all(|call| {
            let begins = frames.count(HEADERS, 2 * call + 1, 0, 0).is_ok();
            begins && (0..MOST_OTHERS_OF_CALL).all(|_| ping(&mut frames, 0))
        }));
    }

    #[test]
    fn numbers_far_apart_and_a_reserved_bit_hide_no_reset() {
        let mut frames = Frames::new();
        let resets = (0..5000_u32).map(|call| 1 + call * 2 * 128).take_while(|stream| {
            frames.count(HEADERS, *stream, 0, 0).is_ok() && frames.count(RST_STREAM, *stream, 0, 0).is_ok()
        });
        assert_eq!(resets.count(), MANY_RESETS as usize);

        let mut frames = Frames::new();
        frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0).unwrap();
        frames.read(&frame(HEADERS, 1 << 31 | 1, b""), 0).unwrap();
        assert_eq!(frames.newest, 1);
    }

    #[test]
    fn too_many_are_too_many_among_however_many_calls() {
        let mut frames = Frames::new();
        let mut reset = 0;
        for call in 0..10_000 {
            let stream = 2 * call + 1;
            if frames.count(HEADERS, stream, 0, 0).is_err()
                || frames.count(if call % 3 == 0 { RST_STREAM } else { 0 }, stream, 0, 0).is_err()
            {
                break;
            }
            reset += u32::from(call % 3 == 0);
        }
        assert_eq!(reset, MOST_RESETS);
    }
}
