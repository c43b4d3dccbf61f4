//! The metrics, for Prometheus and for OTLP: one registry. Their handles are made once, so that a call takes no lock.
//!
//! `names.rs` has a row for each. What is looked up when someone asks is in [`Figures`]; all else is counted where it
//! happens.

mod audit;
mod calls;
mod connections;
mod decisions;
mod exports;
mod family;
mod figures;
mod files;
mod labels;
pub mod names;
mod process;
mod store;
mod upstream;

use std::sync::Arc;

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder, proto::MetricFamily,
};

pub(crate) use self::figures::Figures;
pub use self::{
    audit::AuditMetrics,
    calls::CallMetrics,
    connections::ConnectionMetrics,
    decisions::DecisionMetrics,
    exports::ExportMetrics,
    files::{JwksMetrics, ReloadMetrics},
    labels::{
        ClaimOutcome, Cut, Failure, Quota, Refusal, Signal, SpanLoss, StoreCall, StoreFault, UpstreamStatus,
    },
    store::StoreMetrics,
    upstream::UpstreamMetrics,
};
use self::{calls::AllCalls, connections::AllConnections, files::AllFiles, names::Metric};
use crate::{
    clock::{Clock, SystemClock},
    methods::Method,
};

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    clock: Arc<dyn Clock>,
    calls: AllCalls,
    callers_unknown: IntCounterVec,
    refusing: IntGaugeVec,
    insecure_allow_all: IntGauge,
    files: AllFiles,
    audit: AuditMetrics,
    connections: AllConnections,
    decisions: DecisionMetrics,
    upstream: UpstreamMetrics,
    store: StoreMetrics,
}

impl Metrics {
    /// For these methods, each `package.Service/Method`, in the order of [`Method::place`]; by the system's clock.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(methods: impl IntoIterator<Item = &'static str>) -> Result<Self, prometheus::Error> {
        Self::with_clock(methods, Arc::new(SystemClock))
    }

    /// The same, where metrics that are times are by this clock.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_clock(
        methods: impl IntoIterator<Item = &'static str>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        names::BUILD_INFO.gauges(&registry)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let refusing = names::REFUSING.gauges(&registry)?;
        names::REFUSING.at_zero(&refusing);
        process::export(&registry)?;
        Ok(Self {
            calls: AllCalls::new(&registry, methods)?,
            callers_unknown: names::CALLERS_UNKNOWN.counters(&registry)?,
            refusing,
            insecure_allow_all: names::INSECURE_ALLOW_ALL.gauge(&registry)?,
            files: AllFiles::new(&registry)?,
            audit: AuditMetrics::new(&registry, clock.clone())?,
            connections: AllConnections::new(&registry)?,
            decisions: DecisionMetrics::new(&registry)?,
            upstream: UpstreamMetrics::new(&registry)?,
            store: StoreMetrics::new(&registry)?,
            clock,
            registry,
        })
    }

    /// The metrics of a listener's connections: `grpc` or `admin`.
    #[must_use]
    pub fn connections(&self, listener: &'static str) -> ConnectionMetrics {
        self.connections.of(listener)
    }

    /// The metrics of a method.
    #[must_use]
    pub fn of(&self, method: Method) -> &CallMetrics {
        self.calls.of(method)
    }

    /// Exports what the log and the exports count, which begin before there are other metrics.
    pub fn export(&self, own: &ExportMetrics) {
        own.register(&self.registry);
    }

    /// Exports what `look` finds of these metrics whenever someone asks. Of several looks for one metric the first is
    /// used.
    pub(crate) fn look(
        &self,
        metrics: &'static [Metric],
        look: impl Fn(&mut Figures<'_>) + Send + Sync + 'static,
    ) {
        // A server that is started again with the same metrics has the same figures.
        let _ = figures::export(&self.registry, metrics, look);
    }

    /// Whether this replica can only refuse, by cause.
    pub fn set_refusing(&self, cause: &'static str, is_refusing: bool) {
        self.refusing.with_label_values(&[cause]).set(is_refusing.into());
    }

    /// Records that `--insecure-allow-all` was given.
    pub fn set_insecure_allow_all(&self) {
        self.insecure_allow_all.set(1);
    }

    /// Counts calls that were not authenticated, by one cause of a closed set.
    #[must_use]
    pub fn callers_unknown(&self, cause: &'static str) -> IntCounter {
        self.callers_unknown.with_label_values(&[cause])
    }

    /// The metrics of an issuer's keys, by the issuer's name in the settings.
    #[must_use]
    pub fn jwks(&self, issuer: &str) -> JwksMetrics {
        self.files.jwks(issuer)
    }

    /// The metrics of files that are reloaded, by their purpose.
    #[must_use]
    pub fn reload(&self, what: &'static str) -> ReloadMetrics {
        self.files.reload(what, self.clock.clone())
    }

    /// The metrics of the audit trail.
    #[must_use]
    pub const fn audit(&self) -> &AuditMetrics {
        &self.audit
    }

    /// The metrics of decisions.
    #[must_use]
    pub const fn decisions(&self) -> &DecisionMetrics {
        &self.decisions
    }

    /// The metrics of calls of the whiteboard API.
    #[must_use]
    pub const fn upstream(&self) -> &UpstreamMetrics {
        &self.upstream
    }

    /// The metrics of the store: exported from the first time on that someone asks for them.
    #[must_use]
    pub fn store(&self) -> &StoreMetrics {
        self.store.export();
        &self.store
    }

    /// All metrics, as they are now.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// All metrics, in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.gather()).unwrap_or_default()
    }
}
