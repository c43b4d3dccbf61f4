//! The listeners' life cycle: bind, serve until a stop is requested, drain, end.

mod admin;
mod connections;
mod frames;
mod guarded;
mod health;
mod layers;
mod listener;
mod peer;
mod places;
mod readiness;

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::service;

use self::{
    connections::Keeper,
    health::Health,
    layers::{Layers, Limits},
    listener::Listener,
    places::{Capacity, Places},
    readiness::Readiness,
};
use crate::{
    audit::Audit,
    caller::{self, Callers},
    entropy::Entropy,
    proto::DESCRIPTORS,
    reload::{self, Reload},
    rpc::{self, Services},
    stability::Stability,
    telemetry::{Metrics, Sampling},
    tls::Tls,
};

/// How long calls in flight may take after a stop is requested.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Bound listeners that do not serve yet.
pub struct Server {
    grpc: TcpListener,
    admin: TcpListener,
}

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

impl Server {
    /// Binds both listeners; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub fn bind(grpc: SocketAddr, admin: SocketAddr) -> Result<Self, Error> {
        let bind = |address| listener::bind(address).map_err(|error| Error::Bind(address, error));
        Ok(Self { grpc: bind(grpc)?, admin: bind(admin)? })
    }

    /// The addresses of gRPC and admin.
    ///
    /// # Errors
    /// The system does not give them.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop` is done. Calls `ready` once calls are taken.
    ///
    /// Health and `/readyz` say `NOT_SERVING` until every key has signed and verified once, and again after
    /// `stop`.
    ///
    /// # Errors
    /// Any [`Error`] except [`Error::Bind`].
    pub async fn run(
        self,
        parts: Parts,
        ready: impl FnOnce(),
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let health = Health::default();
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_grpc(self.grpc, &parts, &health, drain.clone())?);
        let readiness = Arc::new(readiness(&parts, &health));
        tasks.spawn(serve_admin(self.admin, &parts, readiness.clone(), end.clone()));
        tasks.spawn(watch_readiness(readiness, end.clone()));
        tasks.spawn(maintain(&parts, end.clone()));
        tasks.spawn(watch_audit(parts.services.authorizer.trail.audit.clone(), end.clone()));

        parts.services.authorizer.self_check().map_err(Error::SelfCheck)?;
        health.set_ready(true);
        ready();

        tokio::select! {
            () = stop => {}
            Some(ended) = tasks.join_next() => return Err(Error::Ended(describe(ended))),
        }
        tracing::info!("stopping: not ready any more, and watches end");
        health.end();
        parts.services.stopping.cancel();
        tracing::info!(timeout = ?DRAIN_TIMEOUT, "draining: no connection is accepted, and those that are open end with their calls");
        drain.cancel();
        // The gRPC task ends after its last call; the admin listener answers until then.
        parts.services.tasks.close();
        let drained = timeout(DRAIN_TIMEOUT, async {
            let ended = tasks.join_next().await;
            parts.services.tasks.wait().await;
            ended
        });
        let result = match drained.await {
            Ok(Some(Ok(Ok(())))) => Ok(()),
            Ok(ended) => Err(Error::Ended(ended.map_or("it was gone".to_owned(), describe))),
            Err(_) => {
                tracing::warn!(timeout = ?DRAIN_TIMEOUT, "the drain timed out; open connections are cut");
                Ok(())
            }
        };
        end.cancel();
        tasks.shutdown().await;
        tracing::info!("every connection is closed");
        result
    }
}

/// The admin listener as a future, until `end`.
fn serve_admin(
    listener: TcpListener,
    parts: &Parts,
    readiness: Arc<Readiness>,
    end: CancellationToken,
) -> impl Future<Output = Result<(), TaskError>> + use<> {
    let places = Places::new(admin::CAPACITY, parts.metrics.connections("admin"));
    let router = admin::router(readiness, parts.metrics.clone());
    async move {
        let keep = |stream, place| admin::keep(router.clone(), stream, place, end.clone());
        Listener::new(listener, places).serve(end.clone(), keep).await;
        Ok(())
    }
}

/// The gRPC server as a future.
fn serve_grpc(
    listener: TcpListener,
    parts: &Parts,
    health: &Health,
    drain: CancellationToken,
) -> Result<impl Future<Output = Result<(), TaskError>> + use<>, Error> {
    let mut open_routes = service::Routes::new(health.service());
    if parts.reflection {
        let reflection = || {
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS)
        };
        let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
        open_routes = open_routes
            .add_service(v1.max_decoding_message_size(health::LONGEST_REQUEST))
            .add_service(v1alpha.max_decoding_message_size(health::LONGEST_REQUEST));
    }
    let Timeouts { call, connection_age } = parts.timeouts;
    let layers = Layers {
        entropy: parts.entropy.clone(),
        metrics: parts.metrics.clone(),
        sampling: parts.sampling.clone(),
        callers: parts.callers.clone(),
        longest_call: call,
        limits: Limits::default(),
        routes: rpc::Routes::new(&parts.services),
        open_routes,
    };
    let (tls, entropy) = (parts.tls.clone(), parts.entropy.clone());
    let keeper = Keeper::new(tls, layers, entropy, connection_age, drain.clone());
    let capacity = Capacity::of_grpc(parts.connections_per_peer);
    let places = Places::new(capacity, parts.metrics.connections("grpc"));
    Ok(async move {
        let keep = |stream, place| keeper.clone().keep(stream, place);
        Listener::new(listener, places).serve(drain, keep).await;
        Ok(())
    })
}

/// Reloads changed files and issuers' keys, and watches the clock, until the end.
fn maintain(parts: &Parts, end: CancellationToken) -> impl Future<Output = Result<(), TaskError>> + use<> {
    let (callers, metrics) = (parts.callers.clone(), parts.metrics.clone());
    let (files, stability) = (parts.files.clone(), parts.stability.clone());
    async move {
        let issuers = async {
            match &callers {
                Some(callers) => callers.run(caller::JWKS_INTERVAL, end.clone()).await,
                None => end.cancelled().await,
            }
        };
        tokio::join!(
            reload::run(files, reload::INTERVAL, metrics, end.clone()),
            end.run_until_cancelled(stability.watch()),
            issuers
        );
        Ok(())
    }
}

fn readiness(parts: &Parts, health: &Health) -> Readiness {
    Readiness {
        audit: parts.services.authorizer.trail.audit.clone(),
        stability: parts.stability.clone(),
        tls: parts.tls.clone(),
        metrics: parts.metrics.clone(),
        health: health.clone(),
        unready_when_refusing: parts.unready_when_refusing,
        seen: Mutex::default(),
    }
}

async fn watch_readiness(readiness: Arc<Readiness>, end: CancellationToken) -> Result<(), TaskError> {
    end.run_until_cancelled(readiness.watch()).await;
    Ok(())
}

/// Fails when the audit trail ends before the server.
async fn watch_audit(audit: Option<Arc<Audit>>, end: CancellationToken) -> Result<(), TaskError> {
    match audit {
        None => end.cancelled().await,
        Some(audit) => {
            if end.run_until_cancelled(audit.ended()).await.is_some() {
                return Err("the audit trail ended".into());
            }
        }
    }
    Ok(())
}

type TaskError = Box<dyn std::error::Error + Send + Sync>;

fn describe(ended: Result<Result<(), TaskError>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it stopped listening".to_owned(),
        Ok(Err(error)) => error.to_string(),
        // A panic's message may hold a secret.
        Err(error) if error.is_panic() => "it panicked".to_owned(),
        Err(_) => "it was cancelled".to_owned(),
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("grpc", &self.grpc).field("admin", &self.admin).finish()
    }
}
