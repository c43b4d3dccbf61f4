//! Lines that were not written: each is counted, and a few log lines report them. So they do of a file that cannot be
//! opened, or looked for, at its path.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::error::Unavailable;
use crate::telemetry::AuditMetrics;

/// The shortest time between two log lines.
const INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Failures {
    metrics: AuditMetrics,
    started: Instant,
    /// When the next log line may be written, in milliseconds since the start.
    next_report: AtomicU64,
    unreported: AtomicU64,
    /// A log line said that lines cannot be written.
    was_told: AtomicBool,
}

impl Failures {
    pub(super) fn new(metrics: AuditMetrics) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            next_report: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
            was_told: AtomicBool::new(false),
        }
    }

    /// A line was written.
    pub(super) fn end(&self) {
        if self.was_told.load(Ordering::Relaxed) && self.was_told.swap(false, Ordering::Relaxed) {
            tracing::info!("audit lines can be written again");
        }
    }

    pub(super) fn report(&self, why: Unavailable) {
        self.metrics.failures.inc();
        self.metrics.failing.set(1);
        self.unreported.fetch_add(1, Ordering::Relaxed);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.started.elapsed());
        let due = self.next_report.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(INTERVAL));
        // One of the concurrent callers logs.
        if now >= due
            && self.next_report.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let failures = self.unreported.swap(0, Ordering::Relaxed);
            self.was_told.store(true, Ordering::Relaxed);
            tracing::error!(failures, error = %why, "audit lines cannot be written; check audit.output");
        }
    }
}

/// What is wrong with the path of the file that is written: the beginning and the end of this are logged, and what was tried
/// between them once in a while.
pub(super) struct PathLog {
    begins: &'static str,
    ends: &'static str,
    metrics: AuditMetrics,
    /// When the next line may be written; `None`: nothing is wrong.
    next: Option<Instant>,
    tries: u64,
}

impl PathLog {
    /// The shortest time between two log lines.
    const INTERVAL: Duration = Duration::from_mins(1);

    /// It holds something else, which cannot be opened.
    pub(super) fn of_reopening(metrics: &AuditMetrics) -> Self {
        Self::new(
            "the audit file cannot be reopened; lines still go to the old one; mend it",
            "the audit file is reopened; lines go to the new one",
            metrics,
        )
    }

    /// It cannot be looked at.
    pub(super) fn of_looks(metrics: &AuditMetrics) -> Self {
        Self::new(
            "the audit file cannot be looked at; lines still go to it; mend its directory",
            "the audit file can be looked at again",
            metrics,
        )
    }

    fn new(begins: &'static str, ends: &'static str, metrics: &AuditMetrics) -> Self {
        Self { begins, ends, metrics: metrics.clone(), next: None, tries: 0 }
    }

    pub(super) fn failed(&mut self, error: &dyn fmt::Display, now: Instant) {
        self.tries += 1;
        if self.next.is_none_or(|next| now >= next) {
            // Again and again, so that an alert on it lasts as long as this does.
            self.metrics.files_unreachable.inc();
            tracing::error!(%error, tries = self.tries, "{}", self.begins);
            self.next = Some(now + Self::INTERVAL);
        }
    }

    pub(super) fn succeeded(&mut self) {
        if self.next.take().is_some() {
            let tries = std::mem::take(&mut self.tries);
            tracing::info!(tries, "{}", self.ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry};

    use super::*;
    use crate::telemetry::Metrics;

    /// Counts log lines.
    struct Count(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn every_failure_is_counted_and_few_are_logged() {
        let metrics = Metrics::new([]).unwrap().audit().clone();
        let (failures, logged) = (Failures::new(metrics.clone()), Arc::default());
        tracing::subscriber::with_default(registry().with(Count(Arc::clone(&logged))), || {
            for _ in 0..1000 {
                failures.report(Unavailable::TimedOut);
            }
            assert_eq!((metrics.failures.get(), logged.load(Ordering::SeqCst)), (1000, 1));
            failures.next_report.store(0, Ordering::SeqCst);
            failures.report(Unavailable::Full);
            assert_eq!(logged.load(Ordering::SeqCst), 2);
            (0..10).for_each(|_| failures.end());
        });
        assert_eq!(logged.load(Ordering::SeqCst), 3, "the end is told once");
        assert_eq!(failures.unreported.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_file_that_cannot_be_reopened_is_logged_at_its_beginning_once_in_a_while_and_at_its_end() {
        let (logged, start, error) = (Arc::<AtomicUsize>::default(), Instant::now(), "x");
        let metrics = Metrics::new([]).unwrap().audit().clone();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let mut log = PathLog::of_reopening(&metrics);
        tracing::subscriber::with_default(registry().with(Count(Arc::clone(&logged))), || {
            let count = || logged.load(Ordering::SeqCst);
            log.succeeded();
            assert_eq!(count(), 0);
            (0..60).for_each(|second| log.failed(&error, seconds(second)));
            assert_eq!(count(), 1);
            log.failed(&error, seconds(60));
            assert_eq!(count(), 2);
            log.succeeded();
            log.succeeded();
            assert_eq!((count(), log.tries), (3, 0));
        });
        assert_eq!(metrics.files_unreachable.get(), 2, "it is counted as often as it is logged");
    }
}
