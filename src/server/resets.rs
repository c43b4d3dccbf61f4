//! Closes the connection of a client that resets its calls, or that sends frames which ask for nothing.
//!
//! Neither hyper nor h2 has a rule against resets that are paced: h2 counts only those that come before their call
//! began. Nor against PING, SETTINGS, PRIORITY and `WINDOW_UPDATE`. RFC 9113, section 6.

use std::io;

/// A reset is premature if its call began so shortly before: a caller that has lost its patience is later.
const PREMATURE_MILLIS: u32 = 1000;

/// More premature resets than this in a window are too many, if they are more than half of the calls begun in it.
const MANY: u32 = 200;

/// More are too many in any case.
const MOST: u32 = 1000;

/// More resets than this that are not premature are too many, if they are more than nine in ten of the calls begun.
const MANY_LATE: u32 = 500;

/// More frames that are no part of a call are too many, and so many more for each call: a long answer's windows take two
/// for each of its pieces.
const MOST_OTHERS: u32 = 5000;
const MOST_OTHERS_OF_CALL: u32 = 200;

const WINDOW_MILLIS: u32 = 10_000;

/// How many calls are remembered: as many as may be under way.
const REMEMBERED: usize = 128;

/// A frame that counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// The headers that begin a call on this stream.
    Call(u32),
    /// The end of this stream.
    Reset(u32),
    /// No part of a call.
    Other,
}

/// What a client does with its calls.
#[derive(Debug)]
pub(super) struct Resets {
    /// The last calls by their streams, and when each began.
    calls: Box<[(u32, u32); REMEMBERED]>,
    /// The place of the next one.
    next: usize,
    window: Window,
}

/// What has been counted since `began`.
#[derive(Debug, Default)]
struct Window {
    began: u32,
    calls: u32,
    premature: u32,
    late: u32,
    others: u32,
    /// How many calls had ended at their deadline before it.
    at_deadline_before: u32,
}

impl Default for Resets {
    fn default() -> Self {
        Self { calls: Box::new([(0, 0); REMEMBERED]), next: 0, window: Window::default() }
    }
}

impl Resets {
    /// Counts a frame that came at `now`, in milliseconds since the connection began. So many of its calls have ended at their
    /// own deadline until then: their resets count for nothing.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn count(&mut self, kind: Kind, now: u32, at_deadline: u32) -> io::Result<()> {
        if now.saturating_sub(self.window.began) > WINDOW_MILLIS {
            self.window = Window { began: now, at_deadline_before: at_deadline, ..Window::default() };
        }
        let window = &mut self.window;
        match kind {
            Kind::Call(stream) => {
                window.calls += 1;
                self.calls[self.next] = (stream, now);
                self.next = (self.next + 1) % REMEMBERED;
            }
            Kind::Reset(stream) => match self.calls.iter_mut().find(|(of, _)| *of == stream) {
                Some((call, began)) => {
                    let is_premature = now.saturating_sub(*began) < PREMATURE_MILLIS;
                    *(if is_premature { &mut window.premature } else { &mut window.late }) += 1;
                    *call = 0;
                }
                // Of no call, or of one that was reset before.
                None => window.others += 1,
            },
            Kind::Other => window.others += 1,
        }
        window.check(at_deadline)
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> (u32, u32) {
        (self.window.calls, self.window.premature + self.window.late)
    }
}

impl Window {
    fn check(&self, at_deadline: u32) -> io::Result<()> {
        let excused = at_deadline.wrapping_sub(self.at_deadline_before);
        let counted = (self.premature + self.late).saturating_sub(excused);
        let (premature, late) = (self.premature.min(counted), self.late.min(counted));
        let is_flood = premature > MOST || premature > MANY && premature > self.calls / 2;
        if is_flood || late > MANY_LATE && late > self.calls / 10 * 9 {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client resets its calls"));
        }
        if self.others > MOST_OTHERS + self.calls.saturating_mul(MOST_OTHERS_OF_CALL) {
            let why = "the client sends frames that ask for nothing";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many calls, of which every `nth` is reset so late, and of these every `excused`th ended at its deadline, the
    /// connection ends; 0: it does not.
    fn ends_after(nth: u32, late: u32, excused: u32) -> usize {
        let mut resets = Resets::default();
        // A hundred calls a second.
        let is_fine = |call: &u32| {
            let (stream, now, over) = (2 * call + 1, call * 10, call.checked_div(excused).unwrap_or(0));
            resets.count(Kind::Call(stream), now, over).is_ok()
                && (!call.is_multiple_of(nth) || resets.count(Kind::Reset(stream), now + late, over).is_ok())
        };
        let fine = (0..5000).take_while(is_fine).count();
        if fine == 5000 { 0 } else { fine }
    }

    #[test]
    fn who_resets_half_of_its_calls_at_once_is_ended_and_who_does_now_and_then_or_late_is_not() {
        assert_eq!([1, 2, 3].map(|nth| ends_after(nth, 0, 0)), [200, 400, 0]);
        assert_eq!(ends_after(1, 999, 0), 200);
        // Late ones, if they are nearly all.
        assert_eq!([1, 2].map(|nth| ends_after(nth, 1000, 0)), [500, 0]);
    }

    #[test]
    fn resets_of_calls_that_ended_at_their_deadline_count_for_nothing_and_excuse_no_others() {
        assert_eq!([200, 2000].map(|late| ends_after(1, late, 1)), [0, 0]);
        // Two thirds are more than half, and less than nine in ten.
        assert_eq!([200, 2000].map(|late| ends_after(1, late, 3)), [299, 0]);
    }

    #[test]
    fn frames_that_ask_for_nothing_end_the_connection_unless_they_go_with_calls() {
        let mut resets = Resets::default();
        let fine = (0..u32::MAX).take_while(|_| resets.count(Kind::Other, 0, 0).is_ok());
        assert_eq!(fine.count(), 5000);
        // So do resets of no call.
        let mut resets = Resets::default();
        let fine = (0..u32::MAX).take_while(|_| resets.count(Kind::Reset(1), 0, 0).is_ok());
        assert_eq!(fine.count(), 5000);
        // A hundred a second are no flood, and so are those of answers.
        let mut resets = Resets::default();
        assert!((0..100_000).all(|number| resets.count(Kind::Other, number * 10, 0).is_ok()));
        let mut resets = Resets::default();
        assert!((0..1000).all(|call| {
            let begins = resets.count(Kind::Call(2 * call + 1), 0, 0).is_ok();
            begins && (0..200).all(|_| resets.count(Kind::Other, 0, 0).is_ok())
        }));
    }

    #[test]
    fn numbers_far_apart_hide_no_reset() {
        let mut resets = Resets::default();
        let fine = (0..5000_u32).map(|call| 1 + call * 2 * 128).take_while(|stream| {
            let begins = resets.count(Kind::Call(*stream), 0, 0).is_ok();
            begins && resets.count(Kind::Reset(*stream), 0, 0).is_ok()
        });
        assert_eq!(fine.count(), 200);
    }

    #[test]
    fn too_many_are_too_many_among_however_many_calls() {
        let mut resets = Resets::default();
        let is_fine = |call: &u32| {
            let stream = 2 * call + 1;
            let begins = resets.count(Kind::Call(stream), 0, 0).is_ok();
            begins && (!call.is_multiple_of(3) || resets.count(Kind::Reset(stream), 0, 0).is_ok())
        };
        assert_eq!((0..10_000).take_while(is_fine).count(), 3000);
    }
}
