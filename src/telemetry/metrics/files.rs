//! The metrics of what is read again: files, and issuers' keys.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::names;
use crate::clock::{Clock, UnixMillis};

/// Of all that is read again.
pub(super) struct AllFiles {
    reloads: IntCounterVec,
    failing: IntGaugeVec,
    success: IntGaugeVec,
    fetches: IntCounterVec,
    fetched: IntGaugeVec,
}

/// Counts successes and failures.
struct Results {
    ok: IntCounter,
    failed: IntCounter,
}

/// The metrics of files that are reloaded.
pub struct ReloadMetrics {
    clock: Arc<dyn Clock>,
    reloads: Results,
    failing: IntGauge,
    success: IntGauge,
}

/// The metrics of an issuer's keys.
pub struct JwksMetrics {
    fetches: Results,
    last: IntGauge,
}

impl AllFiles {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            reloads: names::RELOADS.counters(registry)?,
            failing: names::RELOAD_FAILING.gauges(registry)?,
            success: names::RELOAD_SUCCESS.gauges(registry)?,
            fetches: names::JWKS_FETCHES.counters(registry)?,
            fetched: names::JWKS_FETCHED.gauges(registry)?,
        })
    }

    pub(super) fn reload(&self, what: &'static str, clock: Arc<dyn Clock>) -> ReloadMetrics {
        let reloads = Results::new(|result| self.reloads.with_label_values(&[what, result]));
        let failing = self.failing.with_label_values(&[what]);
        ReloadMetrics { clock, reloads, failing, success: self.success.with_label_values(&[what]) }
    }

    pub(super) fn jwks(&self, issuer: &str) -> JwksMetrics {
        let fetches = Results::new(|result| self.fetches.with_label_values(&[issuer, result]));
        JwksMetrics { fetches, last: self.fetched.with_label_values(&[issuer]) }
    }
}

impl Results {
    fn new(of: impl Fn(&'static str) -> IntCounter) -> Self {
        Self { ok: of("ok"), failed: of("failed") }
    }

    fn count(&self, is_ok: bool) {
        if is_ok { &self.ok } else { &self.failed }.inc();
    }
}

impl ReloadMetrics {
    /// Counts a reload.
    pub fn count(&self, is_ok: bool) {
        self.reloads.count(is_ok);
    }

    /// Sets whether the last reload failed; if it did not, it was now.
    pub fn set_failing(&self, is_failing: bool) {
        self.failing.set(is_failing.into());
        if !is_failing {
            self.success.set(self.clock.now().seconds());
        }
    }
}

impl JwksMetrics {
    /// Counts a successful fetch.
    pub fn fetched(&self, at: UnixMillis) {
        self.fetches.count(true);
        self.last.set(at.seconds());
    }

    /// Counts a failed fetch.
    pub fn failed(&self) {
        self.fetches.count(false);
    }
}
