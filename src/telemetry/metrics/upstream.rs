//! The metrics of calls of the whiteboard API.

use std::time::{Duration, Instant};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::{labels::UpstreamStatus, names};
use crate::{methods::Rpc, region::Region};

/// The metrics of calls of the whiteboard API. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    durations: HistogramVec,
    attempts: IntCounterVec,
    pauses: IntCounterVec,
    skew: IntGaugeVec,
}

/// An attempt that is under way. Dropped before it is told how it ended, it broke off: its callers left.
pub struct AttemptTimer<'a> {
    metrics: &'a UpstreamMetrics,
    region: Region,
    call: &'static str,
    kind: &'static str,
    patience: Duration,
    began: Instant,
    is_over: bool,
}

impl UpstreamMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let pauses = names::UPSTREAM_PAUSES.counters(registry)?;
        names::UPSTREAM_PAUSES.at_zero(&pauses);
        Ok(Self {
            durations: names::UPSTREAM_DURATION.histograms(registry)?,
            attempts: names::UPSTREAM_ATTEMPTS.counters(registry)?,
            pauses,
            skew: names::UPSTREAM_CLOCK_SKEW.gauges(registry)?,
        })
    }

    /// The `nth` attempt of a call begins, 1 the first. If it breaks off after `patience`, it timed out for its
    /// callers.
    #[must_use]
    pub fn begin(&self, region: Region, rpc: Rpc, nth: u32, patience: Duration) -> AttemptTimer<'_> {
        let kind = if nth == 1 { "first" } else { "retry" };
        let (call, began) = (rpc.method(), Instant::now());
        AttemptTimer { metrics: self, region, call, kind, patience, began, is_over: false }
    }

    /// Counts a pause that the vendor asks for.
    pub fn paused(&self, region: Region) {
        self.pauses.with_label_values(&[region.as_str()]).inc();
    }

    /// How far the vendor's clock is ahead of ours, in seconds.
    pub fn set_clock_skew(&self, seconds: i64) {
        self.skew.with_label_values::<&str>(&[]).set(seconds);
    }
}

impl AttemptTimer<'_> {
    /// How the attempt ended; `None`: nothing was sent.
    pub fn end(mut self, status: Option<UpstreamStatus>) {
        self.is_over = true;
        if let Some(status) = status {
            self.count(Some(status));
        }
    }

    fn count(&self, status: Option<UpstreamStatus>) {
        let Self { metrics, region, call, kind, began, .. } = self;
        metrics.attempts.with_label_values(&[region.as_str(), call, kind]).inc();
        if let Some(status) = status {
            let labels = [region.as_str(), call, status.as_str()];
            metrics.durations.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
        }
    }
}

impl Drop for AttemptTimer<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.count((self.began.elapsed() >= self.patience).then_some(UpstreamStatus::Timeout));
        }
    }
}
