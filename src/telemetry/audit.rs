//! The metrics of the audit trail.

use prometheus::{IntCounter, IntGauge, Registry, core::Collector};

/// The metrics of the audit trail.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    /// Lines that were written.
    pub lines: IntCounter,
    /// Writes that these took.
    pub writes: IntCounter,
    /// Lines that were not written in time.
    pub failures: IntCounter,
    /// 1 from such a line until one is written.
    pub failing: IntGauge,
    /// Denials that have no line of their own.
    pub denials_summed: IntCounter,
    /// Times that the file was removed while it was written.
    pub files_lost: IntCounter,
}

impl AuditMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| exported(registry, IntCounter::new(name, help)?);
        Ok(Self {
            lines: counter("inkpass_audit_lines_total", "Audit lines that were written.")?,
            writes: counter("inkpass_audit_writes_total", "Writes that audit lines took.")?,
            failures: counter(
                "inkpass_audit_failures_total",
                "Audit lines that were not known to be written in time.",
            )?,
            failing: exported(
                registry,
                IntGauge::new(
                    "inkpass_audit_failing",
                    "1 from an audit line that was not known to be written in time until one is written.",
                )?,
            )?,
            denials_summed: counter(
                "inkpass_audit_denials_summed_total",
                "Denials that have no audit line of their own, but their part in a summary.",
            )?,
            files_lost: counter(
                "inkpass_audit_files_lost_total",
                "Times that the audit file was removed while it was written.",
            )?,
        })
    }
}

fn exported<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
