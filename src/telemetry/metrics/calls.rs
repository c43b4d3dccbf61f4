//! The metrics of calls.

use std::{sync::OnceLock, time::Duration};

use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};

use super::names;
use crate::methods::Method;

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

/// Of all methods.
pub(super) struct AllCalls {
    methods: Vec<CallMetrics>,
    other: CallMetrics,
}

/// The metrics of one method.
pub struct CallMetrics {
    method: &'static str,
    calls: IntCounterVec,
    /// Made at its first use, so that methods nobody calls are not exported.
    ok: OnceLock<IntCounter>,
    duration: Histogram,
}

impl AllCalls {
    /// For these methods, in the order of [`Method::place`].
    pub(super) fn new(
        registry: &Registry,
        methods: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, prometheus::Error> {
        let calls = names::CALLS_ENDED.counters(registry)?;
        let duration = names::CALL_DURATION.histograms(registry)?;
        let of = |method: &'static str| CallMetrics {
            method,
            calls: calls.clone(),
            ok: OnceLock::new(),
            duration: duration.with_label_values(&[method]),
        };
        Ok(Self { methods: methods.into_iter().map(of).collect(), other: of(OTHER) })
    }

    pub(super) fn of(&self, method: Method) -> &CallMetrics {
        method.place().and_then(|place| self.methods.get(place)).unwrap_or(&self.other)
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
