//! How often the whiteboard API is called: a pause where it asks for one, and a budget for calls that are made again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::region::Region;

/// What a call gives to the budget, and what a repeated call takes: one in ten may be repeated.
const GIVEN: u32 = 1;
const TAKEN: u32 = 10;

/// The most that is saved up: ten repeated calls.
const MOST: u32 = 100;

/// The pause before the first repeated call is up to so long, and doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// The longest pause that a repeated call waits for, where the vendor asks for one.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How many calls may be repeated: a share of those that are made.
#[derive(Debug)]
pub(super) struct RetryBudget {
    saved: AtomicU32,
    /// What calls still have to pay back: the budget begins full, so that the first of them may be repeated too.
    advance: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(MOST), advance: AtomicU32::new(MOST) }
    }
}

impl RetryBudget {
    /// A call is made.
    pub(super) fn give(&self) {
        if self.advance.try_update(Relaxed, Relaxed, |left| left.checked_sub(GIVEN)).is_err() {
            let _ = self.saved.try_update(Relaxed, Relaxed, |saved| (saved < MOST).then_some(saved + GIVEN));
        }
    }

    /// How many may be repeated now.
    pub(super) fn left(&self) -> u32 {
        self.saved.load(Relaxed) / TAKEN
    }

    /// Whether one more may be repeated.
    pub(super) fn take(&self) -> bool {
        self.saved.try_update(Relaxed, Relaxed, |saved| saved.checked_sub(TAKEN)).is_ok()
    }
}

/// How long to wait before a call is made again for the `nth` time, 1 the first; any part of that, by `random`.
pub(super) fn backoff(nth: u32, random: u8) -> Duration {
    let longest = (FIRST_BACKOFF * 2_u32.saturating_pow(nth - 1)).min(LONGEST_BACKOFF);
    longest * u32::from(random) / 255
}

/// Until when no call of a project goes out in a region, because the vendor asked for a pause.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<(Arc<str>, Region), Instant>>);

impl Pauses {
    /// How long the pause still lasts, if there is one.
    pub(super) fn left(&self, project: &Arc<str>, region: Region, now: Instant) -> Option<Duration> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.is_empty() {
            return None;
        }
        let until = pauses.get(&(project.clone(), region))?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// The vendor asks for a pause.
    pub(super) fn begin(&self, project: &Arc<str>, region: Region, until: Instant, now: Instant) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        let longest = pauses.entry((project.clone(), region)).or_insert(until);
        *longest = until.max(*longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_in_ten_is_repeated_the_first_ten_of_a_hundred_included() {
        let budget = RetryBudget::default();
        let mut repeated = 0;
        for call in 1..=10_000 {
            budget.give();
            repeated += u32::from(budget.take());
            assert_eq!(repeated, (call / 10).max(call.min(10)), "after {call} calls");
        }
    }

    #[test]
    fn pauses_before_repeated_calls_grow_up_to_a_limit() {
        let longest = (1..8).map(|nth| backoff(nth, u8::MAX).as_millis()).collect::<Vec<_>>();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff(3, 0), Duration::ZERO);
    }

    #[test]
    fn a_pause_is_of_one_project_in_one_region_and_ends() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let [a, b] = ["a", "b"].map(Arc::from);
        let two = Duration::from_secs(2);
        pauses.begin(&a, Region::Eu, now + two, now);
        // A shorter one does not end it.
        pauses.begin(&a, Region::Eu, now, now);
        assert_eq!(pauses.left(&a, Region::Eu, now), Some(two));
        assert_eq!(pauses.left(&a, Region::Sg, now), None);
        assert_eq!(pauses.left(&b, Region::Eu, now), None);
        assert_eq!(pauses.left(&a, Region::Eu, now + two), None);
    }
}
