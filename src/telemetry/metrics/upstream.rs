//! The metrics of calls of the whiteboard API.

use std::time::Instant;

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

/// How far another clock is ahead.
#[derive(Clone)]
pub struct ClockSkew(IntGaugeVec);

impl ClockSkew {
    /// In seconds.
    pub fn set(&self, seconds: i64) {
        self.0.with_label_values::<&str>(&[]).set(seconds);
    }
}

/// An attempt that is under way: it counts from its end on, however that comes, but its duration only if it is told.
pub struct AttemptTimer<'a> {
    durations: &'a HistogramVec,
    region: Region,
    call: &'static str,
    began: Instant,
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

    /// The `nth` attempt of a call begins, 1 the first.
    #[must_use]
    pub fn begin(&self, region: Region, rpc: Rpc, nth: u32) -> AttemptTimer<'_> {
        let call = rpc.method();
        let kind = if nth == 1 { "first" } else { "retry" };
        self.attempts.with_label_values(&[region.as_str(), call, kind]).inc();
        AttemptTimer { durations: &self.durations, region, call, began: Instant::now() }
    }

    /// Counts a pause that the vendor asks for.
    pub fn paused(&self, region: Region) {
        self.pauses.with_label_values(&[region.as_str()]).inc();
    }

    pub(super) fn clock_skew(&self) -> ClockSkew {
        ClockSkew(self.skew.clone())
    }
}

impl AttemptTimer<'_> {
    /// How the attempt ended.
    pub fn end(self, status: UpstreamStatus) {
        let Self { durations, region, call, began } = self;
        let labels = [region.as_str(), call, status.as_str()];
        durations.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
    }
}
