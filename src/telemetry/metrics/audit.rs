//! The metrics of the audit trail.

use std::{fmt, sync::Arc};

use prometheus::{IntCounter, IntGauge, Registry};

use super::names;
use crate::clock::Clock;

/// The metrics of the audit trail.
#[derive(Clone)]
pub struct AuditMetrics {
    clock: Arc<dyn Clock>,
    /// Lines that were written.
    pub lines: IntCounter,
    /// Writes that these took.
    pub writes: IntCounter,
    last_write: IntGauge,
    /// Lines that were not written in time.
    pub failures: IntCounter,
    /// 1 from such a line until one is written.
    pub failing: IntGauge,
    /// Denials that have no line of their own.
    pub denials_summed: IntCounter,
    /// Times that the file was removed while it was written.
    pub files_lost: IntCounter,
    /// Times that the file could not be opened, or looked for, at its path.
    pub files_unreachable: IntCounter,
}

impl fmt::Debug for AuditMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditMetrics").finish_non_exhaustive()
    }
}

impl AuditMetrics {
    pub(super) fn new(registry: &Registry, clock: Arc<dyn Clock>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            clock,
            lines: names::AUDIT_LINES.counter(registry)?,
            writes: names::AUDIT_WRITES.counter(registry)?,
            last_write: names::AUDIT_LAST_WRITE.gauge(registry)?,
            failures: names::AUDIT_FAILURES.counter(registry)?,
            failing: names::AUDIT_FAILING.gauge(registry)?,
            denials_summed: names::AUDIT_DENIALS_SUMMED.counter(registry)?,
            files_lost: names::AUDIT_FILES_LOST.counter(registry)?,
            files_unreachable: names::AUDIT_FILES_UNREACHABLE.counter(registry)?,
        })
    }

    /// So many lines went out whole in one write.
    pub fn written(&self, lines: u64) {
        self.writes.inc();
        self.lines.inc_by(lines);
        self.last_write.set(self.clock.now().seconds());
    }
}
