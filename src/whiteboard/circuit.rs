//! When a circuit opens and closes. It has no clock, no lock and no log.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many calls are judged, and for how long each counts.
pub(super) const JUDGED: usize = 20;
const WINDOW: Duration = Duration::from_mins(1);

/// The pause before the first try, and the longest. It doubles from try to try.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

#[derive(Debug, Default)]
pub(super) struct State {
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

/// One call may go out.
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) began: Instant,
    opened: u32,
    /// Which try it is, 1 the first; 0: it is none.
    nth_try: u32,
}

impl Permit {
    pub(super) const fn is_try(&self) -> bool {
        self.nth_try > 0
    }
}

/// What a call's end did.
pub(super) enum Change {
    /// It opened: so many of the last calls failed.
    Opened(usize),
    Closed,
}

impl State {
    pub(super) fn circuit(&self) -> Circuit {
        match &self.open {
            None => Circuit::Closed,
            Some(open) if open.is_trying => Circuit::Trying,
            Some(_) => Circuit::Open,
        }
    }

    /// A permit, or when the next call is tried.
    pub(super) fn pass(&mut self, now: Instant) -> Result<Permit, Duration> {
        let permit = |nth_try| Permit { began: now, opened: self.opened, nth_try };
        let Some(open) = &mut self.open else { return Ok(permit(0)) };
        if now < open.next_try {
            return Err((open.next_try - now).min(open.pause));
        }
        open.tries += 1;
        open.is_trying = true;
        open.next_try = now + LONGEST_PAUSE;
        Ok(permit(open.tries))
    }

    /// A call has ended. `has_failed`: `None`: nobody knows.
    pub(super) fn end(&mut self, permit: &Permit, has_failed: Option<bool>, now: Instant) -> Option<Change> {
        if self.opened != permit.opened {
            return None;
        }
        match (&mut self.open, has_failed) {
            (None, Some(has_failed)) => self.judge(has_failed, now).map(Change::Opened),
            (Some(_), Some(false)) if permit.is_try() => {
                self.open = None;
                Some(Change::Closed)
            }
            (Some(open), has_failed) if permit.nth_try == open.tries => {
                if has_failed.is_some() {
                    open.pause = (open.pause * 2).min(LONGEST_PAUSE);
                }
                open.is_trying = false;
                // One that broke off has tried too: the next waits as long.
                open.next_try = permit.began + open.pause;
                None
            }
            (Some(_), _) | (None, None) => None,
        }
    }

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

    fn call(state: &mut State, has_failed: bool, now: Instant) -> bool {
        state.pass(now).map(|permit| state.end(&permit, Some(has_failed), now)).is_ok()
    }

    #[test]
    fn it_opens_when_half_of_twenty_failed_and_not_before() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!((0..JUDGED).all(|index| call(&mut state, index % 2 == 0, now)));
        assert!(!call(&mut state, false, now), "it is open");

        let mut state = State::default();
        assert!((0..10 * JUDGED).all(|index| call(&mut state, index % 20 < 9, now)), "nine of twenty");
        let mut state = State::default();
        assert!((0..JUDGED - 1).all(|_| call(&mut state, true, now)));
        assert!((0..JUDGED).all(|_| call(&mut state, false, now + 2 * WINDOW)), "what is old does not count");
    }

    #[test]
    fn one_call_at_a_time_tries_after_pauses_that_grow_and_the_first_good_one_closes_it() {
        let (mut state, mut now) = (State::default(), Instant::now());
        assert!((0..JUDGED).all(|_| call(&mut state, true, now)));
        for seconds in [1, 2, 4, 5, 5] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(state.pass(now).err(), Some(pause));
            now += pause;
            let pass = state.pass(now).ok().unwrap();
            assert!(state.pass(now).is_err(), "one at a time");
            state.end(&pass, Some(true), now);
        }
        now += LONGEST_PAUSE;
        assert!(call(&mut state, false, now));
        assert!((0..JUDGED - 1).all(|_| call(&mut state, true, now)), "it is as new");
    }

    #[test]
    fn a_try_that_hangs_holds_the_next_back_for_the_longest_pause_alone() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!((0..JUDGED).all(|_| call(&mut state, true, now)));
        let began = now + FIRST_PAUSE;
        let hanging = state.pass(began).ok().unwrap();
        let second = began + LONGEST_PAUSE;
        assert!(state.pass(began + LONGEST_PAUSE * 99 / 100).is_err());
        let next = state.pass(second).ok().unwrap();
        assert!(state.pass(second).is_err(), "one at a time");
        // What the older one says of a failure is known by now.
        state.end(&hanging, Some(true), second);
        assert!(state.pass(second + LONGEST_PAUSE / 2).is_err());
        let third = second + LONGEST_PAUSE;
        let last = state.pass(third).ok().unwrap();
        state.end(&next, Some(false), third);
        assert!(call(&mut state, false, third), "a late success closes it");
        state.end(&last, Some(true), third);
        assert!(call(&mut state, false, third));
    }

    #[test]
    fn a_call_that_began_before_it_opened_says_nothing_of_what_is_now() {
        let (mut state, now) = (State::default(), Instant::now());
        let old: Vec<_> = (0..JUDGED).map(|_| state.pass(now).ok().unwrap()).collect();
        assert!((0..JUDGED).all(|_| call(&mut state, true, now)));
        let later = now + LONGEST_PAUSE;
        assert!(call(&mut state, false, later), "it is closed again");
        for pass in old {
            state.end(&pass, Some(true), later);
        }
        assert!(call(&mut state, false, later));
    }
}
