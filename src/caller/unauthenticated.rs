//! What unauthenticated callers may cost: one small token bucket for all of them together.

use std::sync::Arc;

use prometheus::IntCounter;

use super::Cause;
use crate::{
    clock::Clock,
    rate_limiter::{Rate, TokenBucket},
    telemetry::Metrics,
};

/// 10 calls a second, and 100 at once.
const RATE: Rate = Rate::new(10, 100);

/// The rate limit of unauthenticated callers, and how many there were of each cause.
pub(super) struct Unauthenticated {
    bucket: TokenBucket,
    clock: Arc<dyn Clock>,
    counters: [IntCounter; Cause::ALL.len()],
}

impl Unauthenticated {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let counters = Cause::ALL.map(|cause| metrics.callers_unknown(cause.as_str()));
        Self { bucket: TokenBucket::default(), clock, counters }
    }

    /// Counts one call against the rate limit; `false` if it is exceeded.
    pub(super) fn take(&self) -> bool {
        self.bucket.take(1, RATE, self.clock.monotonic()).is_ok()
    }

    pub(super) fn count(&self, cause: Cause) {
        self.counters[cause as usize].inc();
    }
}
