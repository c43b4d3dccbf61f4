//! A circuit breaker: while the whiteboard API fails, calls of it are refused at once, but for one that tries.
//!
//! It opens when half of the last twenty calls within a minute have failed. A failure is a 5xx, a timeout or a connection
//! that cannot be made; what the vendor refuses is none.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many calls are judged, and for how long each counts.
const JUDGED: usize = 20;
const WINDOW: Duration = Duration::from_mins(1);

/// The pause before the first try, and the longest. It doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Of one host, region and class of calls.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last calls: when each ended, and whether it failed.
    calls: VecDeque<(Instant, bool)>,
    open: Option<Open>,
}

/// An open circuit.
#[derive(Debug)]
struct Open {
    pause: Duration,
    next_try: Instant,
    is_trying: bool,
}

/// Lets one call out. Dropped without being settled, the call broke off, and says nothing.
#[must_use = "the call's end must be told"]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    is_try: bool,
}

impl Breaker {
    /// A pass for one call.
    ///
    /// # Errors
    /// The circuit is open: when the next call is tried.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        let Some(open) = &mut state.open else { return Ok(Pass { breaker: self, is_try: false }) };
        if open.is_trying || now < open.next_try {
            return Err(open.next_try.saturating_duration_since(now).max(Duration::from_millis(100)));
        }
        open.is_trying = true;
        Ok(Pass { breaker: self, is_try: true })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Tells how the call ended.
    pub(super) fn settle(self, has_failed: bool, now: Instant) {
        let mut state = self.breaker.state();
        match (&mut state.open, self.is_try) {
            (Some(open), true) if has_failed => {
                open.pause = (open.pause * 2).min(LONGEST_PAUSE);
                open.next_try = now + open.pause;
            }
            (Some(_), true) => {
                tracing::info!("the whiteboard API answers again; the circuit is closed");
                *state = State::default();
            }
            // It began before the circuit opened.
            (Some(_), false) => {}
            (None, _) => state.judge(has_failed, now),
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_try
            && let Some(open) = &mut self.breaker.state().open
        {
            open.is_trying = false;
        }
    }
}

impl State {
    fn judge(&mut self, has_failed: bool, now: Instant) {
        self.calls.push_back((now, has_failed));
        while self.calls.len() > JUDGED || self.calls.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.calls.pop_front();
        }
        let failed = self.calls.iter().filter(|(_, has_failed)| *has_failed).count();
        if self.calls.len() == JUDGED && 2 * failed >= JUDGED {
            tracing::warn!(
                failed,
                "the whiteboard API fails; the circuit is open, and one call at a time tries it"
            );
            self.calls.clear();
            self.open = Some(Open { pause: FIRST_PAUSE, next_try: now + FIRST_PAUSE, is_trying: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(breaker: &Breaker, has_failed: bool, now: Instant) -> bool {
        breaker.pass(now).map(|pass| pass.settle(has_failed, now)).is_ok()
    }

    #[test]
    fn it_opens_when_half_of_twenty_failed_and_not_before() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        assert!((0..JUDGED).all(|index| call(&breaker, index % 2 == 0, now)));
        assert!(!call(&breaker, false, now), "it is open");

        let breaker = Breaker::default();
        assert!((0..10 * JUDGED).all(|index| call(&breaker, index % 20 < 9, now)), "nine of twenty");
        let breaker = Breaker::default();
        assert!((0..JUDGED - 1).all(|_| call(&breaker, true, now)));
        assert!((0..JUDGED).all(|_| call(&breaker, false, now + 2 * WINDOW)), "what is old does not count");
    }

    #[test]
    fn one_call_at_a_time_tries_after_pauses_that_grow_and_the_first_good_one_closes_it() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
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
        // One that breaks off says nothing, and the next tries.
        drop(breaker.pass(now).ok().unwrap());
        assert!(call(&breaker, false, now));
        assert!((0..JUDGED - 1).all(|_| call(&breaker, true, now)), "it is as new");
    }
}
