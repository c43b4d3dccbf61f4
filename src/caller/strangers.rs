//! What callers that cannot be identified may cost: one small bucket for all of them together.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter, clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use prometheus::IntCounter;

use super::Cause;
use crate::{clock::Clock, telemetry::Metrics};

/// How many there may be in a second, on average.
const PER_SECOND: u32 = 10;

/// How many there may be at once.
const BURST: u32 = 100;

pub(super) struct Strangers {
    bucket: RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>,
    counters: [IntCounter; Cause::ALL.len()],
}

struct Monotonic(Arc<dyn Clock>);

impl clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

impl Strangers {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let [per_second, burst] =
            [PER_SECOND, BURST].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            bucket: RateLimiter::direct_with_clock(quota, Monotonic(clock)),
            counters: Cause::ALL.map(|cause| metrics.callers_unknown(cause.name())),
        }
    }

    /// Takes one out of the bucket; `false` if it is empty.
    pub(super) fn take(&self) -> bool {
        self.bucket.check().is_ok()
    }

    pub(super) fn count(&self, cause: Cause) {
        self.counters[cause as usize].inc();
    }
}
