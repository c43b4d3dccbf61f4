//! Lines that were not written: counted each, and logged now and then.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::Unavailable;
use crate::telemetry::AuditMetrics;

/// How often they are logged, at most.
const INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Failures {
    metrics: AuditMetrics,
    started: Instant,
    /// When the next may be logged, in milliseconds since the start.
    next_report: AtomicU64,
    unreported: AtomicU64,
}

impl Failures {
    pub(super) fn new(metrics: AuditMetrics) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            next_report: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
        }
    }

    pub(super) fn report(&self, why: Unavailable) {
        self.metrics.failures.inc();
        self.unreported.fetch_add(1, Ordering::Relaxed);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.started.elapsed());
        let due = self.next_report.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(INTERVAL));
        // One of those that find it due logs.
        if now >= due
            && self.next_report.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let failures = self.unreported.swap(0, Ordering::Relaxed);
            tracing::error!(failures, error = %why, "audit lines cannot be written");
        }
    }
}
