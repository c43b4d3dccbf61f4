//! The metrics of the log and of exports. They begin before there is a registry.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::{
    labels::{Signal, SpanLoss},
    names,
};

/// The metrics of the log and of exports. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    /// Log lines that nobody will read.
    pub log_lines_dropped: IntCounter,
    /// Spans that a collector took.
    pub spans_exported: IntCounter,
    spans_dropped: IntCounterVec,
    failed: IntCounterVec,
}

impl ExportMetrics {
    /// Of a process.
    ///
    /// # Errors
    /// A row of `names.rs` is wrong.
    pub fn new() -> Result<Self, prometheus::Error> {
        let spans_dropped = names::SPANS_DROPPED.unregistered_counters()?;
        let failed = names::EXPORTS_FAILED.unregistered_counters()?;
        names::SPANS_DROPPED.at_zero(&spans_dropped);
        names::EXPORTS_FAILED.at_zero(&failed);
        Ok(Self {
            log_lines_dropped: names::LOG_LINES_DROPPED.unregistered()?,
            spans_exported: names::SPANS_EXPORTED.unregistered()?,
            spans_dropped,
            failed,
        })
    }

    /// Counts spans that were lost.
    #[must_use]
    pub fn spans_dropped(&self, why: SpanLoss) -> IntCounter {
        self.spans_dropped.with_label_values(&[why.as_str()])
    }

    /// Counts exports that failed.
    #[must_use]
    pub fn failed(&self, signal: Signal) -> IntCounter {
        self.failed.with_label_values(&[signal.as_str()])
    }

    pub(super) fn register(&self, registry: &Registry) {
        // No other metric has one of their names.
        let _ = registry.register(Box::new(self.log_lines_dropped.clone()));
        let _ = registry.register(Box::new(self.spans_exported.clone()));
        let _ = registry.register(Box::new(self.spans_dropped.clone()));
        let _ = registry.register(Box::new(self.failed.clone()));
    }
}
