//! The listeners' life cycle: bind, serve until a stop is requested, drain, end.

mod admin;
mod connections;
mod health;
mod incoming;
mod layers;

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::service;

use self::{health::Health, layers::Layers};
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
    pub async fn bind(grpc: SocketAddr, admin: SocketAddr) -> Result<Self, Error> {
        Ok(Self { grpc: listen(grpc).await?, admin: listen(admin).await? })
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
        let health = Health::new().await;
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_grpc(self.grpc, &parts, &health, drain.clone())?);
        let admin = admin::serve(self.admin, health.clone(), parts.metrics.clone(), end.clone());
        tasks.spawn(async { Ok(admin.await?) });
        tasks.spawn(maintain(&parts, end.clone()));
        tasks.spawn(watch_audit(parts.services.authorizer.trail.audit.clone(), end.clone()));

        parts.services.authorizer.self_check().map_err(Error::SelfCheck)?;
        health.set_ready(true).await;
        ready();

        tokio::select! {
            () = stop => {}
            Some(ended) = tasks.join_next() => return Err(Error::Ended(describe(ended))),
        }
        health.set_ready(false).await;
        parts.services.stopping.cancel();
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
        result
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Bind(address, error))
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
        open_routes =
            open_routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    }
    let Timeouts { call, connection_age } = parts.timeouts;
    let layers = Layers {
        entropy: parts.entropy.clone(),
        metrics: parts.metrics.clone(),
        sampling: parts.sampling.clone(),
        callers: parts.callers.clone(),
        longest_call: call,
        routes: rpc::Routes::new(&parts.services),
        open_routes,
    };
    let serve = connections::serve(listener, parts.tls.clone(), Arc::new(layers), connection_age, drain);
    Ok(async {
        serve.await;
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
