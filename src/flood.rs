//! Lines in a flood: few of a principal's stand by themselves, and the rest are one line a second.
//!
//! So nobody fills the disk, or a queue, with lines about what they do. Nothing is left uncounted.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::per_principal::PerPrincipal;

/// A principal's lines are counted again from nought after so long, and summed up as often.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);

/// How many of a principal's lines stand by themselves, and how many bytes these have together.
const LINES: u32 = 5;
const BYTES: usize = 8 * 1024;

/// How many bytes the lines of all principals have in a second, and how many their sums.
const ALL_BYTES: usize = 128 * 1024;
const SUM_BYTES: usize = 128 * 1024;

/// What one line stands for, in place of several.
pub(crate) trait Sum {
    /// Adds another sum, or what would have been a line.
    fn add(&mut self, other: Self);
}

/// Keeps what two lines share; what they do not is empty from then on.
pub(crate) fn keep_shared<T: Default + PartialEq>(ours: &mut T, theirs: &T) {
    if ours != theirs {
        *ours = T::default();
    }
}

/// The lines of all principals.
#[derive(Debug)]
pub(crate) struct Flood<S> {
    principals: PerPrincipal<Mutex<Second<S>>>,
    /// The bytes of lines that stand by themselves, since the last sums.
    bytes: AtomicUsize,
    summed_up: Mutex<Instant>,
}

/// A principal's lines of this second.
#[derive(Debug)]
struct Second<S> {
    began: Option<Instant>,
    lines: u32,
    bytes: usize,
    sum: Option<S>,
}

impl<S> Default for Second<S> {
    fn default() -> Self {
        Self { began: None, lines: 0, bytes: 0, sum: None }
    }
}

impl<S: Sum> Flood<S> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { principals: PerPrincipal::default(), bytes: AtomicUsize::new(0), summed_up: Mutex::new(now) }
    }

    /// Whether a line of so many bytes stands by itself. If not, it is `one` in its principal's sum.
    pub(crate) fn has_line(
        &self,
        principal: &str,
        bytes: usize,
        one: impl FnOnce() -> S,
        now: Instant,
    ) -> bool {
        let is_idle = |second: &Mutex<Second<S>>| lock(second).is_idle(now);
        self.principals.with(principal, is_idle, |second| {
            let mut second = lock(second);
            let has_line = second.fits(bytes, now) && self.take(bytes);
            if has_line {
                second.lines += 1;
                second.bytes += bytes;
            } else {
                add(&mut second.sum, one());
            }
            has_line
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= ALL_BYTES);
        self.bytes.try_update(Relaxed, Relaxed, fits).is_ok()
    }

    /// Writes the sums of the last second, if it is over or this `is_last`: one for each principal. Where that would be
    /// too many, one for the rest, which is nobody's. `write` gives how many bytes it wrote.
    pub(crate) fn sum_up(
        &self,
        now: Instant,
        is_last: bool,
        mut write: impl FnMut(Option<&str>, &S) -> usize,
    ) {
        {
            let mut last = lock(&self.summed_up);
            if now.saturating_duration_since(*last) < WINDOW && !is_last {
                return;
            }
            *last = now;
        }
        self.bytes.store(0, Relaxed);
        let (mut bytes, mut rest) = (0, None);
        self.principals.for_each(|principal, second| {
            let Some(sum) = lock(second).sum.take() else { return };
            if bytes < SUM_BYTES {
                bytes += write(Some(principal), &sum);
            } else {
                add(&mut rest, sum);
            }
        });
        if let Some(rest) = rest {
            write(None, &rest);
        }
    }
}

impl<S> Second<S> {
    /// Whether one more line fits into this second's.
    fn fits(&mut self, bytes: usize, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            *self = Self { began: Some(now), lines: 0, bytes: 0, sum: self.sum.take() };
        }
        self.lines < LINES && self.bytes + bytes <= BYTES
    }

    fn is_idle(&self, now: Instant) -> bool {
        let is_old = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        self.sum.is_none() && self.began.is_none_or(is_old)
    }
}

fn add<S: Sum>(sum: &mut Option<S>, one: S) {
    match sum {
        Some(sum) => sum.add(one),
        None => *sum = Some(one),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
