//! The metrics of the store.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::names::names;

/// The bounds of a call of the store, in seconds: it has 0.2.
const BOUNDS: [f64; 9] = [0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25];

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// Compares and swaps a value.
    Swap,
    /// Waits for a replica of the store.
    Wait,
    /// Takes from a bucket.
    Take,
}

names! { pub StoreCall { Swap = "swap", Wait = "wait", Take = "take" } }

/// What a call with a `request_id` came to at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// It claimed the id, and acted.
    Claimed,
    /// It had an earlier call's outcome.
    Replayed,
    /// The id was used with other arguments.
    OtherArguments,
    /// An earlier call's outcome is lost.
    OutcomeLost,
    /// The store did not answer.
    Unavailable,
    /// The store holds what does not verify.
    Forged,
}

names! {
    pub ClaimOutcome {
        Claimed = "claimed", Replayed = "replayed", OtherArguments = "other_arguments", OutcomeLost = "outcome_lost",
        Unavailable = "unavailable", Forged = "forged",
    }
}

/// The metrics of the store. They are exported where it is used.
#[derive(Clone)]
pub struct StoreMetrics {
    durations: HistogramVec,
    errors: IntCounterVec,
    claims: IntCounterVec,
    connected: IntGaugeVec,
    unwritten: IntGaugeVec,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let durations = HistogramOpts::new(
            "inkpass_store_call_duration_seconds",
            "How long calls of the store took that were answered, in seconds.",
        );
        let durations = HistogramVec::new(durations.buckets(BOUNDS.to_vec()), &["call"])?;
        let errors = Opts::new("inkpass_store_errors_total", "Calls of the store that failed, by cause.");
        let errors = IntCounterVec::new(errors, &["call", "cause"])?;
        let claims =
            Opts::new("inkpass_store_claims_total", "Calls with a request_id, by what became of it.");
        let claims = IntCounterVec::new(claims, &["outcome"])?;
        let connected = Opts::new("inkpass_store_connected", "1 while there is a connection to the store.");
        let connected = IntGaugeVec::new(connected, &[])?;
        let unwritten =
            Opts::new("inkpass_store_outcomes_unwritten", "Outcomes that wait for the store to be back.");
        let unwritten = IntGaugeVec::new(unwritten, &[])?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(claims.clone()))?;
        registry.register(Box::new(connected.clone()))?;
        registry.register(Box::new(unwritten.clone()))?;
        Ok(Self { durations, errors, claims, connected, unwritten })
    }

    /// Counts an answer.
    pub fn answered(&self, call: StoreCall, took: Duration) {
        self.durations.with_label_values(&[call.as_str()]).observe(took.as_secs_f64());
    }

    /// Counts a call that failed, by one cause of a closed set.
    pub fn failed(&self, call: StoreCall, cause: &'static str) {
        self.errors.with_label_values(&[call.as_str(), cause]).inc();
    }

    /// Counts what a `request_id` came to.
    pub fn claim(&self, outcome: ClaimOutcome) {
        self.claims.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Whether there is a connection.
    pub fn set_connected(&self, is_connected: bool) {
        self.connected.with_label_values::<&str>(&[]).set(is_connected.into());
    }

    /// Adds so many outcomes that are not written yet.
    pub fn add_unwritten(&self, count: i64) {
        self.unwritten.with_label_values::<&str>(&[]).add(count);
    }
}
