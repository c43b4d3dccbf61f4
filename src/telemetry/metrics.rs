//! The metrics, in Prometheus's form. Handles are made once, so that a call locks nothing.
//!
//! | name | labels | what it is |
//! |---|---|---|
//! | `inkpass_build_info` | `version` | 1 |
//! | `inkpass_calls_total` | `rpc_method`, `rpc_status_code` | calls that ended, cancelled ones too |
//! | `inkpass_audit_failures_total` | | audit lines that were not known to be written in time |
//! | `inkpass_audit_lines_total` | | audit lines that were written |
//! | `inkpass_audit_writes_total` | | writes that they took: lines by writes is how many go out together |
//! | `rpc_server_call_duration_seconds` | `rpc_method` | from a call's headers to the end of its answer |

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

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

/// What stands for a method that is not served.
const OTHER: &str = "_OTHER";

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    methods: HashMap<&'static str, CallMetrics>,
    other: CallMetrics,
    audit: AuditMetrics,
}

/// The metrics of the audit trail.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    /// Lines that were written.
    pub lines: IntCounter,
    /// Writes that they took.
    pub writes: IntCounter,
    /// Lines that were not known to be written in time.
    pub failures: IntCounter,
}

/// The metrics of one method.
pub struct CallMetrics {
    method: &'static str,
    calls: IntCounterVec,
    /// By the code's number; made when it first counts, so that what never happened is not shown.
    by_code: [OnceLock<IntCounter>; CODES.len()],
    duration: Histogram,
}

impl Metrics {
    /// For these methods, each `package.Service/Method`.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(methods: &[&'static str]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(Opts::new("inkpass_build_info", "What runs: always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let calls = Opts::new("inkpass_calls_total", "Calls that ended, by method and gRPC code.");
        let calls = IntCounterVec::new(calls, &["rpc_method", "rpc_status_code"])?;
        let duration = HistogramOpts::new(
            "rpc_server_call_duration_seconds",
            "From a call's headers to the end of its answer, in seconds.",
        );
        let duration = HistogramVec::new(duration.buckets(BOUNDS.to_vec()), &["rpc_method"])?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(calls.clone()))?;
        registry.register(Box::new(duration.clone()))?;

        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let audit = AuditMetrics {
            lines: counter("inkpass_audit_lines_total", "Audit lines that were written.")?,
            writes: counter("inkpass_audit_writes_total", "Writes that audit lines took.")?,
            failures: counter(
                "inkpass_audit_failures_total",
                "Audit lines that were not known to be written in time.",
            )?,
        };

        let of = |method: &'static str| CallMetrics {
            method,
            calls: calls.clone(),
            by_code: Default::default(),
            duration: duration.with_label_values(&[method]),
        };
        let methods = methods.iter().map(|method| (*method, of(method))).collect();
        Ok(Self { registry, methods, other: of(OTHER), audit })
    }

    /// The metrics of a method, from a request's path.
    #[must_use]
    pub fn of(&self, path: &str) -> &CallMetrics {
        self.methods.get(path.trim_start_matches('/')).unwrap_or(&self.other)
    }

    /// Those of the audit trail.
    #[must_use]
    pub const fn audit(&self) -> &AuditMetrics {
        &self.audit
    }

    /// All of them, in Prometheus's text form.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl CallMetrics {
    /// The method, `package.Service/Method`, or `_OTHER`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// Counts a call that ended; gives the code's name.
    pub fn ended(&self, code: i32, duration: Duration) -> &'static str {
        let number = usize::try_from(code).ok().filter(|number| *number < CODES.len()).unwrap_or(2);
        let counter =
            self.by_code[number].get_or_init(|| self.calls.with_label_values(&[self.method, CODES[number]]));
        counter.inc();
        self.duration.observe(duration.as_secs_f64());
        CODES[number]
    }
}
