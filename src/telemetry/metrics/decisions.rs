//! The metrics of decisions.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::{labels::Quota, names};

/// The metrics of decisions: who may do what, and how often.
#[derive(Clone, Debug)]
pub struct DecisionMetrics {
    /// Made once: every token takes it.
    allowed: IntCounter,
    decisions: IntCounterVec,
    quota_refusals: IntCounterVec,
}

impl DecisionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let decisions = names::DECISIONS.counters(registry)?;
        let quota_refusals = names::QUOTA_REFUSALS.counters(registry)?;
        names::QUOTA_REFUSALS.at_zero(&quota_refusals);
        Ok(Self { allowed: decisions.with_label_values(&["allow", ""]), decisions, quota_refusals })
    }

    /// Counts a call that may be done.
    pub fn allowed(&self) {
        self.allowed.inc();
    }

    /// Counts a call that is refused, by its reason's name.
    pub fn denied(&self, reason: &'static str) {
        self.decisions.with_label_values(&["deny", reason]).inc();
    }

    /// Counts a call that a quota refuses.
    pub fn quota_refused(&self, quota: Quota) {
        self.quota_refusals.with_label_values(&[quota.as_str()]).inc();
    }
}
