//! A circuit breaker: while the whiteboard API fails, calls of it are refused at once, but for one that tries.
//!
//! It opens when half of the last twenty calls within a minute have failed. A failure is a 5xx, a timeout or a connection
//! that cannot be made; what the vendor refuses is none.
//!
//! Pauses are from the beginning of one try to that of the next. So an upstream that is well again is noticed within
//! the longest pause, also if a try from before hangs.

use std::{
    array, mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::circuit::{Change, Circuit, Permit, State};
use crate::region::Region;

/// A call that breaks off after so long, because its caller would not wait, has failed: it timed out for its caller.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// Of one host, region and class of calls, which are named in the log.
#[derive(Debug)]
pub(super) struct Breaker {
    host: String,
    region: Region,
    class: &'static str,
    state: Mutex<State>,
}

/// Lets one call out. Dropped without being settled, the call broke off: soon, it says nothing.
#[must_use = "the call's end must be told"]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    permit: Permit,
    is_settled: bool,
}

impl Breaker {
    /// Those of a region: of what changes something, and of reads.
    pub(super) fn of(host: &str, region: Region) -> [Self; 2] {
        let classes = ["writes", "reads"];
        array::from_fn(|class| Self {
            host: host.to_owned(),
            region,
            class: classes[class],
            state: Mutex::default(),
        })
    }

    /// How it stands, with its region and the class of calls that it is for.
    pub(super) fn circuit(&self) -> (Region, &'static str, Circuit) {
        (self.region, self.class, self.state().circuit())
    }

    /// A pass for one call.
    ///
    /// # Errors
    /// The circuit is open: when the next call is tried.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        self.state().pass(now).map(|permit| Pass { breaker: self, permit, is_settled: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Tells how the call ended.
    pub(super) fn settle(mut self, has_failed: bool, now: Instant) {
        self.end(Some(has_failed), now);
    }

    /// The call goes on, but its caller has left. If that waited for long enough, the call has failed.
    pub(super) fn give_up(&mut self, now: Instant) {
        if self.has_waited(now) {
            self.end(Some(true), now);
        }
    }

    fn has_waited(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.permit.began) >= PATIENCE
    }

    /// `has_failed`: `None`: nobody knows.
    fn end(&mut self, has_failed: Option<bool>, now: Instant) {
        // Of what was given up only a try's success is news.
        if mem::replace(&mut self.is_settled, true) && (!self.permit.is_try() || has_failed != Some(false)) {
            return;
        }
        let Breaker { host, region, class, .. } = self.breaker;
        let (host, region) = (host.as_str(), region.as_str());
        let change = self.breaker.state().end(&self.permit, has_failed, now);
        match change {
            Some(Change::Opened(failed)) => {
                let what = "the whiteboard API fails; the circuit is open, and one call at a time tries it";
                tracing::warn!(host, region, class, failed, "{what}");
            }
            Some(Change::Closed) => {
                let what = "the whiteboard API answers again; the circuit is closed";
                tracing::info!(host, region, class, "{what}");
            }
            None => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let now = Instant::now();
            self.end(self.has_waited(now).then_some(true), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whiteboard::circuit::{FIRST_PAUSE, JUDGED, LONGEST_PAUSE};

    fn new() -> Breaker {
        let [writes, _] = Breaker::of("host", Region::Eu);
        writes
    }

    fn call(breaker: &Breaker, has_failed: bool, now: Instant) -> bool {
        breaker.pass(now).map(|pass| pass.settle(has_failed, now)).is_ok()
    }

    #[test]
    fn a_try_that_breaks_off_at_once_is_followed_by_a_pause_too() {
        let (breaker, now) = (new(), Instant::now());
        let Some(before) = now.checked_sub(FIRST_PAUSE) else { return };
        assert!((0..JUDGED).all(|_| call(&breaker, true, before)));
        drop(breaker.pass(now).ok().unwrap());
        assert!(breaker.pass(now).is_err());
        assert!(call(&breaker, false, now + 2 * LONGEST_PAUSE));
    }

    #[test]
    fn a_call_that_was_given_up_counts_once_and_closes_it_all_the_same() {
        let (breaker, now) = (new(), Instant::now());
        let given_up = || {
            let mut pass = breaker.pass(now).ok().unwrap();
            pass.give_up(now + PATIENCE / 2);
            pass.give_up(now + PATIENCE);
            pass
        };
        let passes: Vec<_> = (0..JUDGED / 2 - 1).map(|_| given_up()).collect();
        for pass in passes {
            pass.settle(true, now);
        }
        assert!((0..JUDGED / 2).all(|_| call(&breaker, false, now)));
        let _last = given_up();
        assert_eq!(breaker.pass(now + PATIENCE).err(), Some(FIRST_PAUSE), "ten of twenty");

        let first = now + PATIENCE + FIRST_PAUSE;
        let mut tried = breaker.pass(first).ok().unwrap();
        tried.give_up(first + PATIENCE);
        assert_eq!(breaker.pass(first + PATIENCE).err(), Some(FIRST_PAUSE + FIRST_PAUSE / 2));
        tried.settle(false, first + PATIENCE);
        assert!(call(&breaker, false, first + PATIENCE));
    }

    #[test]
    fn calls_whose_callers_would_not_wait_have_failed() {
        let (breaker, now) = (new(), Instant::now());
        let Some(long_ago) = now.checked_sub(PATIENCE) else { return };
        for _ in 0..JUDGED {
            drop(breaker.pass(now).ok().unwrap());
        }
        assert!(breaker.pass(now).is_ok(), "they left at once");
        for _ in 0..JUDGED {
            drop(breaker.pass(long_ago).ok().unwrap());
        }
        assert!(breaker.pass(now).is_err());
    }
}
