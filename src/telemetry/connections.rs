//! The metrics of connections.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics of a listener's connections.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Those that are open.
    pub open: IntGauge,
    listener: &'static str,
    refused: IntCounterVec,
    cut: IntCounterVec,
}

/// The metrics of all listeners.
#[derive(Debug)]
pub(super) struct AllConnections {
    open: IntGaugeVec,
    refused: IntCounterVec,
    cut: IntCounterVec,
}

impl AllConnections {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = Opts::new("inkpass_connections", "Open connections, by listener.");
        let refused = Opts::new(
            "inkpass_connections_refused_total",
            "Connections closed at once, for want of a place, by listener and cause.",
        );
        let cut =
            Opts::new("inkpass_connections_cut_total", "Connections that were cut, by listener and cause.");
        let open = IntGaugeVec::new(open, &["listener"])?;
        let refused = IntCounterVec::new(refused, &["listener", "cause"])?;
        let cut = IntCounterVec::new(cut, &["listener", "cause"])?;
        registry.register(Box::new(open.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(cut.clone()))?;
        Ok(Self { open, refused, cut })
    }

    /// Of one listener: `grpc` or `admin`.
    pub(super) fn of(&self, listener: &'static str) -> ConnectionMetrics {
        let open = self.open.with_label_values(&[listener]);
        ConnectionMetrics { open, listener, refused: self.refused.clone(), cut: self.cut.clone() }
    }
}

impl ConnectionMetrics {
    /// Counts a connection that was closed at once, by one cause of a closed set.
    pub fn refused(&self, cause: &'static str) {
        self.refused.with_label_values(&[self.listener, cause]).inc();
    }

    /// Counts a connection that was cut, by one cause of a closed set.
    pub fn cut(&self, cause: &'static str) {
        self.cut.with_label_values(&[self.listener, cause]).inc();
    }
}
