//! The metrics, for Prometheus. Their handles are made once, so that a call takes no lock.
//!
//! | name | labels | what it is |
//! |---|---|---|
//! | `inkpass_build_info` | `version` | 1 |
//! | `inkpass_calls_total` | `rpc_method`, `rpc_status_code`, `reason` | calls that ended, cancelled ones too; `reason` is empty where there is none |
//! | `inkpass_connections` | `listener` | open connections: `grpc` or `admin` |
//! | `inkpass_connections_refused_total` | `listener`, `cause` | closed at once: `full`, `unauthenticated` or `peer` |
//! | `inkpass_connections_cut_total` | `listener`, `cause` | cut: `silent`, `made_room`, `idle`, `age` or `stop` |
//! | `inkpass_audit_failures_total` | | audit lines that were not known to be written in time |
//! | `inkpass_audit_failing` | | 1 from such a line until one is written |
//! | `inkpass_audit_denials_summed_total` | | denials that have no line of their own, but their part in a summary |
//! | `inkpass_audit_files_lost_total` | | times that the audit file was removed while it was written |
//! | `inkpass_audit_lines_total` | | audit lines that were written |
//! | `inkpass_audit_writes_total` | | writes that they took: lines by writes is how many go out together |
//! | `rpc_server_call_duration_seconds` | `rpc_method` | from a call's headers to the end of its answer |
//! | `inkpass_callers_unknown_total` | `cause` | calls whose caller could not be identified |
//! | `inkpass_log_lines_dropped_total` | | log lines that could not be written, or for which there was no room because nobody read them |
//! | `inkpass_insecure_allow_all` | | 1 where `--insecure-allow-all` was given |
//! | `inkpass_refusing` | `cause` | 1 while this replica can only refuse: `audit`, `clock` or `certificate` |
//! | `inkpass_tls_certificate_expires_timestamp_seconds` | | when the TLS certificate expires, in Unix time |
//! | `inkpass_upstream_clock_skew_seconds` | | how far the whiteboard API's clock is ahead of ours, by its last answer |
//! | `inkpass_jwks_fetches_total` | `issuer`, `result` | fetches of an issuer's keys: `ok` or `failed` |
//! | `inkpass_jwks_fetched_timestamp_seconds` | `issuer` | when they were last fetched; 0: never |
//! | `inkpass_store_call_duration_seconds` | `call` | how long calls of the store took that were answered: `swap`, `wait` or `take` |
//! | `inkpass_store_errors_total` | `call`, `cause` | calls of the store that failed |
//! | `inkpass_store_claims_total` | `outcome` | calls with a `request_id`, by what became of it at the store |
//! | `inkpass_store_connected` | | 1 while there is a connection to the store |
//! | `inkpass_store_outcomes_unwritten` | | outcomes that wait for the store to be back |
//! | `inkpass_reloads_total` | `what`, `result` | changed files that were read: `ok` or `failed` |
//! | `inkpass_reload_failing` | `what` | 1 while files cannot be used, and what was read before is |

use std::{sync::OnceLock, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, proto::MetricFamily,
};

use super::{
    audit::AuditMetrics,
    connections::{AllConnections, ConnectionMetrics},
    store::StoreMetrics,
};
use crate::{clock::UnixMillis, methods::Method};

/// The bounds of OpenTelemetry's `rpc.server.call.duration`, in seconds.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5];

/// The codes of gRPC by number, as OpenTelemetry writes them.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The label of a method that is not served.
const OTHER: &str = "_OTHER";

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    methods: Vec<CallMetrics>,
    other: CallMetrics,
    insecure_allow_all: IntGaugeVec,
    refusing: IntGaugeVec,
    certificate_end: IntGaugeVec,
    upstream_clock_skew: IntGaugeVec,
    callers_unknown: IntCounterVec,
    jwks_fetches: IntCounterVec,
    jwks_last: IntGaugeVec,
    reloads: IntCounterVec,
    reload_failing: IntGaugeVec,
    audit: AuditMetrics,
    connections: AllConnections,
    store: StoreMetrics,
}

/// Counts successes and failures.
struct Results {
    ok: IntCounter,
    failed: IntCounter,
}

/// The metrics of an issuer's keys.
pub struct JwksMetrics {
    fetches: Results,
    last: IntGauge,
}

/// The metrics of files that are reloaded.
pub struct ReloadMetrics {
    reloads: Results,
    failing: IntGauge,
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

/// The metrics of one method.
pub struct CallMetrics {
    method: &'static str,
    calls: IntCounterVec,
    /// Made at its first use, so that methods nobody calls are not exported.
    ok: OnceLock<IntCounter>,
    duration: Histogram,
}

impl Metrics {
    /// For these methods, each `package.Service/Method`, in the order of [`Method::place`].
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(methods: impl IntoIterator<Item = &'static str>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(Opts::new("inkpass_build_info", "What runs: always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let calls = Opts::new("inkpass_calls_total", "Calls that ended, by method, gRPC code and reason.");
        let calls = IntCounterVec::new(calls, &["rpc_method", "rpc_status_code", "reason"])?;
        let duration = HistogramOpts::new(
            "rpc_server_call_duration_seconds",
            "From a call's headers to the end of its answer, in seconds.",
        );
        let duration = HistogramVec::new(duration.buckets(BOUNDS.to_vec()), &["rpc_method"])?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(calls.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        let counter = |name, help, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name, help, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let insecure_allow_all =
            gauge("inkpass_insecure_allow_all", "1 where --insecure-allow-all was given.", &[])?;
        let refusing =
            gauge("inkpass_refusing", "1 while this replica can only refuse, by cause.", &["cause"])?;
        let certificate_end = gauge(
            "inkpass_tls_certificate_expires_timestamp_seconds",
            "When the TLS certificate expires, in Unix time.",
            &[],
        )?;
        let upstream_clock_skew = gauge(
            "inkpass_upstream_clock_skew_seconds",
            "How far the whiteboard API's clock is ahead of ours, by its last answer.",
            &[],
        )?;
        let callers_unknown = counter(
            "inkpass_callers_unknown_total",
            "Calls whose caller could not be identified, by cause.",
            &["cause"],
        )?;
        let jwks_fetches = counter(
            "inkpass_jwks_fetches_total",
            "Fetches of an issuer's keys, by result.",
            &["issuer", "result"],
        )?;
        let jwks_last = gauge(
            "inkpass_jwks_fetched_timestamp_seconds",
            "When an issuer's keys were last fetched, in Unix time; 0: never.",
            &["issuer"],
        )?;
        let reloads = counter(
            "inkpass_reloads_total",
            "Changed files that were read, by what they are for and by result.",
            &["what", "result"],
        )?;
        let reload_failing = gauge(
            "inkpass_reload_failing",
            "1 while files cannot be used, and what was read before is.",
            &["what"],
        )?;

        let audit = AuditMetrics::new(&registry)?;

        let of = |method: &'static str| CallMetrics {
            method,
            calls: calls.clone(),
            ok: OnceLock::new(),
            duration: duration.with_label_values(&[method]),
        };
        let connections = AllConnections::new(&registry)?;
        let store = StoreMetrics::new(&registry)?;
        let methods = methods.into_iter().map(of).collect();
        let other = of(OTHER);
        Ok(Self {
            registry,
            methods,
            other,
            insecure_allow_all,
            refusing,
            certificate_end,
            upstream_clock_skew,
            callers_unknown,
            jwks_fetches,
            jwks_last,
            reloads,
            reload_failing,
            audit,
            connections,
            store,
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
        method.place().and_then(|place| self.methods.get(place)).unwrap_or(&self.other)
    }

    /// Exports a counter that was made before the others.
    pub fn export(&self, counter: &IntCounter) {
        // No other metric has its name.
        let _ = self.registry.register(Box::new(counter.clone()));
    }

    /// Whether this replica can only refuse, by cause.
    pub fn set_refusing(&self, cause: &'static str, is_refusing: bool) {
        self.refusing.with_label_values(&[cause]).set(is_refusing.into());
    }

    /// Records when the TLS certificate ends, in Unix time.
    pub fn set_certificate_end(&self, seconds: i64) {
        self.certificate_end.with_label_values::<&str>(&[]).set(seconds);
    }

    /// Records that `--insecure-allow-all` was given.
    pub fn set_insecure_allow_all(&self) {
        self.insecure_allow_all.with_label_values::<&str>(&[]).set(1);
    }

    /// How far the whiteboard API's clock is ahead of ours, in seconds: exported from the first
    /// measurement on.
    #[must_use]
    pub fn upstream_clock_skew(&self) -> ClockSkew {
        ClockSkew(self.upstream_clock_skew.clone())
    }

    /// Counts calls that were not authenticated, by one cause of a closed set.
    #[must_use]
    pub fn callers_unknown(&self, cause: &'static str) -> IntCounter {
        self.callers_unknown.with_label_values(&[cause])
    }

    /// The metrics of an issuer's keys, by the issuer's name in the settings.
    #[must_use]
    pub fn jwks(&self, issuer: &str) -> JwksMetrics {
        let fetches = Results::new(|result| self.jwks_fetches.with_label_values(&[issuer, result]));
        JwksMetrics { fetches, last: self.jwks_last.with_label_values(&[issuer]) }
    }

    /// The metrics of files that are reloaded, by their purpose.
    #[must_use]
    pub fn reload(&self, what: &'static str) -> ReloadMetrics {
        let reloads = Results::new(|result| self.reloads.with_label_values(&[what, result]));
        ReloadMetrics { reloads, failing: self.reload_failing.with_label_values(&[what]) }
    }

    /// The metrics of the audit trail.
    #[must_use]
    pub const fn audit(&self) -> &AuditMetrics {
        &self.audit
    }

    /// The metrics of the store.
    #[must_use]
    pub const fn store(&self) -> &StoreMetrics {
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

impl CallMetrics {
    /// The method, `package.Service/Method`, or `_OTHER`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// Counts a call that ended, by the number of its code and its reason; gives the name of its code.
    pub fn ended(&self, code: i32, reason: &'static str, duration: Duration) -> &'static str {
        let number = usize::try_from(code).ok().filter(|number| *number < CODES.len()).unwrap_or(2);
        let counter = || self.calls.with_label_values(&[self.method, CODES[number], reason]);
        if number == 0 {
            self.ok.get_or_init(counter).inc();
        } else {
            counter().inc();
        }
        self.duration.observe(duration.as_secs_f64());
        CODES[number]
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

impl JwksMetrics {
    /// Counts a successful fetch.
    pub fn fetched(&self, at: UnixMillis) {
        self.fetches.count(true);
        self.last.set(i64::try_from(at.get() / 1000).unwrap_or(i64::MAX));
    }

    /// Counts a failed fetch.
    pub fn failed(&self) {
        self.fetches.count(false);
    }
}

impl ReloadMetrics {
    /// Counts a reload.
    pub fn count(&self, is_ok: bool) {
        self.reloads.count(is_ok);
    }

    /// Sets whether the last reload failed.
    pub fn set_failing(&self, is_failing: bool) {
        self.failing.set(is_failing.into());
    }
}
