//! A rate limiter: token buckets, each in one atomic number, by the generic cell rate algorithm
//! (GCRA).
//!
//! The number is when the bucket will be full again. Taking tokens moves it into the future, at most
//! as far as the burst reaches; time alone fills the bucket, so no timer is needed. Taking them locks
//! nothing, and they can be given back: a call that is refused for another reason is not counted.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds for one token; rounded up, so that the rate is never exceeded.
    interval: u64,
    burst: u32,
}

/// When the bucket will be full, in nanoseconds since its owner's origin. A new one is full.
#[derive(Debug, Default)]
pub(crate) struct TokenBucket(AtomicU64);

/// The bucket holds too few tokens, and none is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// It holds enough after this time, if nobody else takes any.
    RetryAfter(Duration),
    /// More are asked for than the burst: it never holds so many.
    AboveBurst,
}

impl Rate {
    /// Both are above zero.
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        Self { interval: 1_000_000_000_u64.div_ceil(per_second as u64), burst }
    }

    fn time_for(self, count: u32) -> u64 {
        self.interval.saturating_mul(u64::from(count))
    }
}

impl TokenBucket {
    /// Takes so many tokens, or none. `now`: the time since the owner's origin.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub(crate) fn take(&self, count: u32, rate: Rate, now: Duration) -> Result<(), Exhausted> {
        if count == 0 {
            return Ok(());
        }
        if count > rate.burst {
            return Err(Exhausted::AboveBurst);
        }
        let now = nanos(now);
        let furthest = now.saturating_add(rate.time_for(rate.burst));
        let after = |full_at: u64| full_at.max(now).saturating_add(rate.time_for(count));
        let taken = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(after(full_at)).filter(|next| *next <= furthest)
        });
        taken.map(|_| ()).map_err(|full_at| {
            Exhausted::RetryAfter(Duration::from_nanos(after(full_at).saturating_sub(furthest)))
        })
    }

    /// Gives back tokens that were just taken.
    pub(crate) fn refund(&self, count: u32, rate: Rate) {
        let refunded = |full_at: u64| Some(full_at.saturating_sub(rate.time_for(count)));
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, refunded);
    }

    /// Whether it is full, and so equal to a new one.
    pub(crate) fn is_full(&self, now: Duration) -> bool {
        self.0.load(Ordering::Relaxed) <= nanos(now)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The textbook's token bucket, in exact arithmetic: it is filled, and taken from.
    struct Model {
        /// In units of `interval` nanoseconds.
        held: u128,
        last: u64,
    }

    proptest! {
        #[test]
        fn it_is_the_textbook_s_token_bucket(
            (per_second, burst) in (1u32..2000, 1u32..50),
            takes in proptest::collection::vec((0u64..3_000_000_000, 1u32..60), 1..80),
        ) {
            let rate = Rate::new(per_second, burst);
            let capacity = u128::from(rate.interval) * u128::from(burst);
            let (bucket, mut model, mut now) = (TokenBucket::default(), Model { held: capacity, last: 0 }, 0);
            for (passed, count) in takes {
                now += passed;
                model.held = capacity.min(model.held + u128::from(now - model.last));
                model.last = now;
                let needed = u128::from(rate.interval) * u128::from(count);
                let expected = if count > burst {
                    Err(Exhausted::AboveBurst)
                } else if needed > model.held {
                    Err(Exhausted::RetryAfter(Duration::from_nanos(u64::try_from(needed - model.held).unwrap())))
                } else {
                    model.held -= needed;
                    Ok(())
                };
                prop_assert_eq!(bucket.take(count, rate, Duration::from_nanos(now)), expected);
                prop_assert_eq!(bucket.is_full(Duration::from_nanos(now)), model.held == capacity);
            }
        }
    }

    #[test]
    fn refunded_tokens_can_be_taken_again() {
        let (bucket, rate) = (TokenBucket::default(), Rate::new(10, 10));
        assert_eq!(bucket.take(8, rate, Duration::ZERO), Ok(()));
        assert_eq!(
            bucket.take(3, rate, Duration::ZERO),
            Err(Exhausted::RetryAfter(Duration::from_millis(100)))
        );
        bucket.refund(8, rate);
        assert!(bucket.is_full(Duration::ZERO));
        assert_eq!(bucket.take(10, rate, Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_gives_no_more_than_it_says() {
        let (bucket, rate) = (TokenBucket::default(), Rate::new(3, 1));
        let taken = (0..=1_000_000_000)
            .step_by(1_000)
            .filter(|now| bucket.take(1, rate, Duration::from_nanos(*now)).is_ok());
        assert_eq!(taken.count(), 3);
    }
}
