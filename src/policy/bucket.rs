//! A token bucket in one atomic number: the generic cell rate algorithm.
//!
//! The number is when the bucket will be full again. Taking moves it into the future, at most as
//! far as the burst reaches; time alone fills the bucket, so nothing has to tick.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Nanoseconds; rounded up, so that what was promised is never exceeded.
    interval: u64,
    burst: u32,
}

/// When the bucket will be full, in nanoseconds of the meter's time. A new one is full.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

/// The bucket holds too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// It holds enough after this time, if nobody else takes from it.
    For(Duration),
    /// It never holds so much.
    Ever,
}

impl Rate {
    /// `per_second` and `burst` are above zero: the file's reader sees to it.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { interval: 1_000_000_000_u64.div_ceil(u64::from(per_second.max(1))), burst }
    }

    fn time_for(self, count: u32) -> u64 {
        self.interval.saturating_mul(u64::from(count))
    }
}

impl Bucket {
    pub(super) fn take(&self, count: u32, rate: Rate, now: u64) -> Result<(), Short> {
        if count == 0 {
            return Ok(());
        }
        if count > rate.burst {
            return Err(Short::Ever);
        }
        let furthest = now.saturating_add(rate.time_for(rate.burst));
        let taken = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(full_at.max(now).saturating_add(rate.time_for(count))).filter(|next| *next <= furthest)
        });
        taken.map(|_| ()).map_err(|full_at| {
            let next = full_at.max(now).saturating_add(rate.time_for(count));
            Short::For(Duration::from_nanos(next - furthest))
        })
    }

    /// Gives back what was taken a moment ago.
    pub(super) fn put_back(&self, count: u32, rate: Rate) {
        let put = |full_at: u64| Some(full_at.saturating_sub(rate.time_for(count)));
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, put);
    }

    /// Whether nothing tells it from a new one.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The textbook's bucket, in exact arithmetic: it is filled, and taken from.
    struct Model {
        /// In units of `interval` nanoseconds.
        held: u128,
        last: u64,
    }

    proptest! {
        #[test]
        fn it_is_the_textbook_s_bucket(
            (per_second, burst) in (1u32..2000, 1u32..50),
            takes in proptest::collection::vec((0u64..3_000_000_000, 1u32..60), 1..80),
        ) {
            let rate = Rate::new(per_second, burst);
            let capacity = u128::from(rate.interval) * u128::from(burst);
            let (bucket, mut model, mut now) = (Bucket::default(), Model { held: capacity, last: 0 }, 0);
            for (passed, count) in takes {
                now += passed;
                model.held = capacity.min(model.held + u128::from(now - model.last));
                model.last = now;
                let needed = u128::from(rate.interval) * u128::from(count);
                let expected = if count > burst {
                    Err(Short::Ever)
                } else if needed > model.held {
                    Err(Short::For(Duration::from_nanos(u64::try_from(needed - model.held).unwrap())))
                } else {
                    model.held -= needed;
                    Ok(())
                };
                prop_assert_eq!(bucket.take(count, rate, now), expected);
                prop_assert_eq!(bucket.is_full(now), model.held == capacity);
            }
        }
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let (bucket, rate) = (Bucket::default(), Rate::new(10, 10));
        assert_eq!(bucket.take(8, rate, 0), Ok(()));
        assert_eq!(bucket.take(3, rate, 0), Err(Short::For(Duration::from_millis(100))));
        bucket.put_back(8, rate);
        assert!(bucket.is_full(0));
        assert_eq!(bucket.take(10, rate, 0), Ok(()));
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_gives_no_more_than_it_says() {
        let (bucket, rate) = (Bucket::default(), Rate::new(3, 1));
        let taken = (0..=1_000_000_000).step_by(1_000).filter(|now| bucket.take(1, rate, *now).is_ok());
        assert_eq!(taken.count(), 3);
    }
}
