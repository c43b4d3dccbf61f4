//! Listeners and their life: bind first, serve until told to stop, let calls finish, end.

mod admin;
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
use tonic::transport;

pub use self::incoming::Peer;
use self::{
    health::Health,
    incoming::incoming,
    layers::{AroundEveryCall, Layers},
};
use crate::{
    audit::Audit,
    caller::{self, Callers},
    entropy::Entropy,
    proto::DESCRIPTORS,
    reload::{self, Reload},
    rpc::{self, Services},
    stability::Stability,
    telemetry::Metrics,
    tls::Tls,
};

/// How long calls that were under way may take after a stop was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

const KIB: u32 = 1024;

/// Listeners that are bound and do not serve yet.
pub struct Server {
    grpc: TcpListener,
    admin: TcpListener,
}

/// What is served.
pub struct Parts {
    /// What the handlers share.
    pub services: Arc<Services>,
    /// Whether reflection is served.
    pub reflection: bool,
    /// TLS of the gRPC listener; `None`: plaintext.
    pub tls: Option<Arc<Tls>>,
    /// Who may call; `None`: everyone.
    pub callers: Option<Arc<Callers>>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// What is made of files that may change.
    pub files: Vec<Arc<dyn Reload>>,
    /// Whether the clock can be signed by.
    pub stability: Arc<Stability>,
    /// Makes request ids.
    pub entropy: Arc<dyn Entropy>,
    /// How long things may last.
    pub timeouts: Timeouts,
}

/// How long things may last.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The longest that a call may take until its answer begins, whatever its caller allows.
    pub call: Duration,
    /// How old a connection grows before it is asked to go, so that callers spread over new replicas:
    /// longer than a watch may last.
    pub connection_age: Duration,
}

impl Default for Timeouts {
    /// 20 s and 5 minutes.
    fn default() -> Self {
        Self { call: Duration::from_secs(20), connection_age: Duration::from_mins(5) }
    }
}

/// Why a server ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// A key does not verify what it signed.
    #[error("the self-check failed: access key {0} does not verify what it signed")]
    SelfCheck(String),
    /// A part of the server ended by itself.
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

    /// Where gRPC and admin are served.
    ///
    /// # Errors
    /// The system does not say.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop` is done; `ready` is called once everything can be used.
    ///
    /// Health and `/readyz` say `NOT_SERVING` until every key has signed and verified once, and
    /// again from the moment that a stop is asked for.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Bind`].
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
        tasks.spawn(admin::serve(self.admin, health.clone(), parts.metrics.clone(), end.clone()));
        tasks.spawn(keep_fresh(&parts, end.clone()));
        tasks.spawn(keep_audit(parts.services.authorizer.trail.audit.clone(), end.clone()));

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
        // The gRPC task ends when its last call has; the admin listener answers until then.
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
                tracing::warn!(
                    "calls or connections were still open at the end of the drain time; they are cut"
                );
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

/// The gRPC server as a future. tonic leaves several of HTTP/2's protections off unless they are
/// named.
fn serve_grpc(
    listener: TcpListener,
    parts: &Parts,
    health: &Health,
    drain: CancellationToken,
) -> Result<impl Future<Output = Result<(), Failure>> + use<>, Error> {
    let mut routes = rpc::routes(&parts.services).add_service(health.service());
    if parts.reflection {
        let reflection = || {
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS)
        };
        routes = routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    }
    let Timeouts { call, connection_age } = parts.timeouts;
    let layers = Layers::new(parts.entropy.clone(), parts.metrics.clone(), parts.callers.clone(), call);
    let server = transport::Server::builder()
        .max_concurrent_streams(128)
        .http2_max_local_error_reset_streams(Some(1024))
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_header_list_size(8 * KIB)
        .initial_stream_window_size(64 * KIB)
        .initial_connection_window_size(1024 * KIB)
        .max_frame_size(16 * KIB)
        .http2_adaptive_window(Some(false))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        // Without a grace, which would cut calls under way.
        .max_connection_age(connection_age)
        .layer(AroundEveryCall(Arc::new(layers)))
        .add_routes(routes);
    let incoming = incoming(listener, parts.tls.clone());
    Ok(async move {
        let stop = async move { drain.cancelled().await };
        server.serve_with_incoming_shutdown(incoming, stop).await.map_err(Failure::from)
    })
}

/// Reads changed files and issuers' keys anew, until the end.
fn keep_fresh(parts: &Parts, end: CancellationToken) -> impl Future<Output = Result<(), Failure>> + use<> {
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

/// Ends when the audit trail does, which is before its time unless the end has come.
async fn keep_audit(audit: Option<Arc<Audit>>, end: CancellationToken) -> Result<(), Failure> {
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

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn describe(ended: Result<Result<(), Failure>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it stopped listening".to_owned(),
        Ok(Err(error)) => error.to_string(),
        // A panic's own words may hold the value that it is about.
        Err(error) if error.is_panic() => "it panicked".to_owned(),
        Err(_) => "it was cancelled".to_owned(),
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("grpc", &self.grpc).field("admin", &self.admin).finish()
    }
}
