//! The metrics of the store.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::{
    labels::{ClaimOutcome, StoreCall, StoreFault},
    names,
};

/// The metrics of the store. They are exported where it is used.
#[derive(Clone)]
pub struct StoreMetrics {
    durations: HistogramVec,
    errors: IntCounterVec,
    claims: IntCounterVec,
    connected: IntGaugeVec,
    unwritten: IntGaugeVec,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            durations: names::STORE_DURATION.histograms(registry)?,
            errors: names::STORE_ERRORS.counters(registry)?,
            claims: names::STORE_CLAIMS.counters(registry)?,
            connected: names::STORE_CONNECTED.gauges(registry)?,
            unwritten: names::STORE_UNWRITTEN.gauges(registry)?,
        })
    }

    /// Exports them: a family without members is not.
    pub(super) fn export(&self) {
        names::STORE_DURATION.at_zero(&self.durations);
        names::STORE_ERRORS.at_zero(&self.errors);
        names::STORE_CLAIMS.at_zero(&self.claims);
        names::STORE_CONNECTED.at_zero(&self.connected);
        names::STORE_UNWRITTEN.at_zero(&self.unwritten);
    }

    /// Counts an answer.
    pub fn answered(&self, call: StoreCall, took: Duration) {
        self.durations.with_label_values(&[call.as_str()]).observe(took.as_secs_f64());
    }

    /// Counts a call that failed.
    pub fn failed(&self, call: StoreCall, fault: StoreFault) {
        self.errors.with_label_values(&[call.as_str(), fault.as_str()]).inc();
    }

    /// Counts what a `request_id` came to.
    pub fn claim(&self, outcome: ClaimOutcome) {
        self.claims.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Whether there is a connection.
    pub fn set_connected(&self, is_connected: bool) {
        self.connected.with_label_values::<&str>(&[]).set(is_connected.into());
    }

    /// Adds so many outcomes that are not written yet.
    pub fn add_unwritten(&self, count: i64) {
        self.unwritten.with_label_values::<&str>(&[]).add(count);
    }
}
