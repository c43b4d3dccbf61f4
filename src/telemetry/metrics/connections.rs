//! The metrics of connections.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{
    labels::{Cut, Failure, Refusal},
    names,
};

/// The metrics of a listener's connections.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Those that are open.
    pub open: IntGauge,
    /// How many there can be.
    pub limit: IntGauge,
    /// Those that got a place.
    pub accepted: IntCounter,
    listener: &'static str,
    refused: IntCounterVec,
    cut: IntCounterVec,
    failed: IntCounterVec,
}

/// The metrics of all listeners.
#[derive(Debug)]
pub(super) struct AllConnections {
    open: IntGaugeVec,
    limit: IntGaugeVec,
    accepted: IntCounterVec,
    refused: IntCounterVec,
    cut: IntCounterVec,
    failed: IntCounterVec,
}

impl AllConnections {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let all = Self {
            open: names::CONNECTIONS.gauges(registry)?,
            limit: names::CONNECTIONS_LIMIT.gauges(registry)?,
            accepted: names::CONNECTIONS_ACCEPTED.counters(registry)?,
            refused: names::CONNECTIONS_REFUSED.counters(registry)?,
            cut: names::CONNECTIONS_CUT.counters(registry)?,
            failed: names::CONNECTIONS_FAILED.counters(registry)?,
        };
        names::CONNECTIONS_REFUSED.at_zero(&all.refused);
        names::CONNECTIONS_CUT.at_zero(&all.cut);
        names::CONNECTIONS_FAILED.at_zero(&all.failed);
        Ok(all)
    }

    /// Of one listener: `grpc` or `admin`.
    pub(super) fn of(&self, listener: &'static str) -> ConnectionMetrics {
        ConnectionMetrics {
            open: self.open.with_label_values(&[listener]),
            limit: self.limit.with_label_values(&[listener]),
            accepted: self.accepted.with_label_values(&[listener]),
            listener,
            refused: self.refused.clone(),
            cut: self.cut.clone(),
            failed: self.failed.clone(),
        }
    }
}

impl ConnectionMetrics {
    /// Counts a connection that was closed at once.
    pub fn refused(&self, cause: Refusal) {
        self.refused.with_label_values(&[self.listener, cause.as_str()]).inc();
    }

    /// Counts a connection that was cut.
    pub fn cut(&self, cause: Cut) {
        self.cut.with_label_values(&[self.listener, cause.as_str()]).inc();
    }

    /// Counts a connection that failed.
    pub fn failed(&self, cause: Failure) {
        self.failed.with_label_values(&[self.listener, cause.as_str()]).inc();
    }
}
