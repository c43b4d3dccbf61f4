//! Whether exports arrive: counted, and logged when they begin to fail, once a minute while they do, and when they
//! work again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus::IntCounter;

use crate::telemetry::Signal;

/// How often a failure that goes on is logged.
const MINUTE: Duration = Duration::from_mins(1);

/// Whether the exports of a signal arrive.
#[derive(Debug)]
pub(super) struct Health {
    signal: Signal,
    failed: IntCounter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_failing: bool,
    logged: Option<Instant>,
    /// The last line is of a failure.
    is_told: bool,
    /// Since the last line.
    failures: u64,
    /// Spans that found the queue full, as far as the log has told of them, and when it did.
    overflowed: u64,
    overflow_logged: Option<Instant>,
}

impl Health {
    /// `failed`: counts exports.
    pub(super) fn new(signal: Signal, failed: IntCounter) -> Self {
        Self { signal, failed, state: Mutex::default() }
    }

    /// An export failed.
    pub(super) fn fails(&self, cause: &str) {
        self.failed.inc();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_failing = true;
        state.failures += 1;
        if is_due(state.logged) {
            tracing::warn!(
                signal = self.signal.as_str(),
                cause,
                failures = state.failures,
                "the OTLP collector does not take what is exported; calls are not affected"
            );
            (state.logged, state.is_told, state.failures) = (Some(Instant::now()), true, 0);
        }
    }

    /// An export arrived.
    pub(super) fn works(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_failing = false;
        // A collector that comes and goes has one line of each a minute, too.
        if state.is_told {
            tracing::info!(
                signal = self.signal.as_str(),
                failures = state.failures,
                "the OTLP collector takes what is exported again"
            );
            (state.is_told, state.failures) = (false, 0);
        }
    }

    /// Whether the last export failed.
    pub(super) fn is_failing(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_failing
    }

    /// So many spans have found the queue full until now.
    pub(super) fn overflowed(&self, total: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = total - state.overflowed;
        if spans > 0 && is_due(state.overflow_logged) {
            tracing::warn!(
                spans,
                "more spans than the queue holds: some are dropped; sample less, or set OTEL_BSP_MAX_QUEUE_SIZE"
            );
            (state.overflowed, state.overflow_logged) = (total, Some(Instant::now()));
        }
    }
}

fn is_due(logged: Option<Instant>) -> bool {
    logged.is_none_or(|logged| logged.elapsed() >= MINUTE)
}
