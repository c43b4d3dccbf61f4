//! A circuit breaker: while the whiteboard API fails, calls of it are refused at once, but for one that tries.
//!
//! It opens when half of the last twenty calls within a minute have failed. A failure is a 5xx, a timeout or a connection
//! that cannot be made; what the vendor refuses is none.
//!
//! Pauses are from the beginning of one try to that of the next. So an upstream that is well again is noticed within
//! the longest pause, also if a try from before hangs.

use std::{
    array,
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::region::Region;

/// How many calls are judged, and for how long each counts.
const JUDGED: usize = 20;
const WINDOW: Duration = Duration::from_mins(1);

/// A call that breaks off after so long, because its caller would not wait, has failed: it timed out for its caller.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// The pause before the first try, and the longest. It doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Of one host, region and class of calls, which are named in the log.
#[derive(Debug)]
pub(super) struct Breaker {
    host: String,
    region: Region,
    class: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last calls: when each ended, and whether it failed.
    calls: VecDeque<(Instant, bool)>,
    open: Option<Open>,
    /// How often it has opened: a call that began before says nothing of what is now.
    opened: u32,
}

/// An open circuit.
#[derive(Debug)]
struct Open {
    pause: Duration,
    /// While one tries: when it holds back the next no longer.
    next_try: Instant,
    /// How many have tried.
    tries: u32,
    /// Whether the last of them is under way.
    is_trying: bool,
}

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Calls go out.
    Closed,
    /// One call tries whether the whiteboard API answers again.
    Trying,
    /// No call goes out.
    Open,
}

/// Lets one call out. Dropped without being settled, the call broke off: soon, it says nothing.
#[must_use = "the call's end must be told"]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    began: Instant,
    opened: u32,
    /// Which try it is, 1 the first; 0: it is none.
    nth_try: u32,
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
        let circuit = match &self.state().open {
            None => Circuit::Closed,
            Some(open) if open.is_trying => Circuit::Trying,
            Some(_) => Circuit::Open,
        };
        (self.region, self.class, circuit)
    }

    /// A pass for one call.
    ///
    /// # Errors
    /// The circuit is open: when the next call is tried.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        let opened = state.opened;
        let pass = |nth_try| Pass { breaker: self, began: now, opened, nth_try, is_settled: false };
        let Some(open) = &mut state.open else { return Ok(pass(0)) };
        if now < open.next_try {
            return Err((open.next_try - now).min(open.pause));
        }
        open.tries += 1;
        open.is_trying = true;
        open.next_try = now + LONGEST_PAUSE;
        Ok(pass(open.tries))
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
        now.saturating_duration_since(self.began) >= PATIENCE
    }

    /// `has_failed`: `None`: nobody knows.
    fn end(&mut self, has_failed: Option<bool>, now: Instant) {
        // Of what was given up only a try's success is news.
        if mem::replace(&mut self.is_settled, true) && (self.nth_try == 0 || has_failed != Some(false)) {
            return;
        }
        let Breaker { host, region, class, .. } = self.breaker;
        let (host, region) = (host.as_str(), region.as_str());
        let mut state = self.breaker.state();
        if state.opened != self.opened {
            return;
        }
        match (&mut state.open, has_failed) {
            (None, Some(has_failed)) => {
                if let Some(failed) = state.judge(has_failed, now) {
                    let what =
                        "the whiteboard API fails; the circuit is open, and one call at a time tries it";
                    tracing::warn!(host, region, class, failed, "{what}");
                }
            }
            (Some(_), Some(false)) if self.nth_try > 0 => {
                state.open = None;
                let what = "the whiteboard API answers again; the circuit is closed";
                tracing::info!(host, region, class, "{what}");
            }
            (Some(open), has_failed) if self.nth_try == open.tries => {
                if has_failed.is_some() {
                    open.pause = (open.pause * 2).min(LONGEST_PAUSE);
                }
                open.is_trying = false;
                // One that broke off has tried too: the next waits as long.
                open.next_try = self.began + open.pause;
            }
            (Some(_), _) | (None, None) => {}
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

impl State {
    /// How many of the last calls failed, if that opens it.
    fn judge(&mut self, has_failed: bool, now: Instant) -> Option<usize> {
        self.calls.push_back((now, has_failed));
        while self.calls.len() > JUDGED
            || self.calls.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
        {
            self.calls.pop_front();
        }
        let failed = self.calls.iter().filter(|(_, has_failed)| *has_failed).count();
        if self.calls.len() < JUDGED || 2 * failed < JUDGED {
            return None;
        }
        self.calls.clear();
        self.opened += 1;
        self.open =
            Some(Open { pause: FIRST_PAUSE, next_try: now + FIRST_PAUSE, tries: 0, is_trying: false });
        Some(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> Breaker {
        let [writes, _] = Breaker::of("host", Region::Eu);
        writes
    }

    fn call(breaker: &Breaker, has_failed: bool, now: Instant) -> bool {
        breaker.pass(now).map(|pass| pass.settle(has_failed, now)).is_ok()
    }

    #[test]
    fn it_opens_when_half_of_twenty_failed_and_not_before() {
        let (breaker, now) = (new(), Instant::now());
        assert!((0..JUDGED).all(|index| call(&breaker, index % 2 == 0, now)));
        assert!(!call(&breaker, false, now), "it is open");

        let breaker = new();
        assert!((0..10 * JUDGED).all(|index| call(&breaker, index % 20 < 9, now)), "nine of twenty");
        let breaker = new();
        assert!((0..JUDGED - 1).all(|_| call(&breaker, true, now)));
        assert!((0..JUDGED).all(|_| call(&breaker, false, now + 2 * WINDOW)), "what is old does not count");
    }

    #[test]
    fn one_call_at_a_time_tries_after_pauses_that_grow_and_the_first_good_one_closes_it() {
        let (breaker, mut now) = (new(), Instant::now());
        assert!((0..JUDGED).all(|_| call(&breaker, true, now)));
        for seconds in [1, 2, 4, 5, 5] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.pass(now).err(), Some(pause));
            now += pause;
            let pass = breaker.pass(now).ok().unwrap();
            assert!(breaker.pass(now).is_err(), "one at a time");
            pass.settle(true, now);
        }
        now += LONGEST_PAUSE;
        assert!(call(&breaker, false, now));
        assert!((0..JUDGED - 1).all(|_| call(&breaker, true, now)), "it is as new");
    }

    #[test]
    fn a_try_that_hangs_holds_the_next_back_for_the_longest_pause_alone() {
        let (breaker, now) = (new(), Instant::now());
        assert!((0..JUDGED).all(|_| call(&breaker, true, now)));
        let began = now + FIRST_PAUSE;
        let hanging = breaker.pass(began).ok().unwrap();
        let second = began + LONGEST_PAUSE;
        assert!(breaker.pass(began + LONGEST_PAUSE * 99 / 100).is_err());
        let next = breaker.pass(second).ok().unwrap();
        assert!(breaker.pass(second).is_err(), "one at a time");
        // What the older one says of a failure is known by now.
        hanging.settle(true, second);
        assert!(breaker.pass(second + LONGEST_PAUSE / 2).is_err());
        let third = second + LONGEST_PAUSE;
        let last = breaker.pass(third).ok().unwrap();
        next.settle(false, third);
        assert!(call(&breaker, false, third), "a late success closes it");
        last.settle(true, third);
        assert!(call(&breaker, false, third));
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
    fn a_call_that_began_before_it_opened_says_nothing_of_what_is_now() {
        let (breaker, now) = (new(), Instant::now());
        let old: Vec<_> = (0..JUDGED).map(|_| breaker.pass(now).ok().unwrap()).collect();
        assert!((0..JUDGED).all(|_| call(&breaker, true, now)));
        let later = now + LONGEST_PAUSE;
        assert!(call(&breaker, false, later), "it is closed again");
        for pass in old {
            pass.settle(true, later);
        }
        assert!(call(&breaker, false, later));
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
