//! What a server is made of, and why it can end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    caller::Callers,
    entropy::Entropy,
    reload::Reload,
    rpc::Services,
    stability::Stability,
    telemetry::{CallLog, Metrics, Sampling},
    tls::Tls,
};

/// The parts of a server.
pub struct Parts {
    /// What the handlers share.
    pub services: Arc<Services>,
    /// Whether reflection is served.
    pub reflection: bool,
    /// TLS of the gRPC listener; `None`: plaintext.
    pub tls: Option<Arc<Tls>>,
    /// Authenticates callers; `None`: nobody is authenticated.
    pub callers: Option<Arc<Callers>>,
    /// The metrics of calls.
    pub metrics: Arc<Metrics>,
    /// The lines of calls.
    pub call_log: Arc<CallLog>,
    /// Which calls are traced.
    pub sampling: Sampling,
    /// What is reloaded when its files change.
    pub files: Vec<Arc<dyn Reload>>,
    /// Whether the clock can be trusted to sign.
    pub stability: Arc<Stability>,
    /// For request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The most connections from one IP address; 0: no limit.
    pub connections_per_peer: usize,
    /// Whether a replica that can only refuse is not ready.
    pub unready_when_refusing: bool,
}

/// The timeouts of a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The longest time until a call's response begins; caps the caller's deadline.
    pub call: Duration,
    /// A connection's age at which it is closed gracefully, so that callers spread over new replicas. It is
    /// longer than a watch may last.
    pub connection_age: Duration,
}

impl Default for Timeouts {
    /// 20 s and 5 minutes.
    fn default() -> Self {
        Self { call: Duration::from_secs(20), connection_age: Duration::from_mins(5) }
    }
}

/// Why a server ended without a request to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// A key does not verify what it signed.
    #[error("the self-check failed: access key {0} does not verify what it signed")]
    SelfCheck(String),
    /// A task of the server ended before the stop.
    #[error("a part of the server ended: {0}")]
    Ended(String),
    /// Reflection cannot be built.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
