//! The listeners' life cycle: bind, serve until a stop is requested, drain, end.

mod admin;
mod capacity;
mod connection;
mod connections;
mod figures;
mod frames;
mod guarded;
mod health;
mod layers;
mod listener;
mod parts;
mod peer;
mod places;
mod readiness;
mod resets;
mod tasks;

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::parts::{Error, Parts, Timeouts};
use self::{
    health::Health,
    tasks::{describe, maintain, readiness, serve_admin, serve_grpc, watch_audit, watch_readiness},
};
use crate::telemetry::millis;

/// How long calls in flight may take after a stop is requested.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Bound listeners that do not serve yet.
pub struct Server {
    grpc: TcpListener,
    admin: TcpListener,
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
        let (under_way, grpc) = serve_grpc(self.grpc, &parts, &health, drain.clone())?;
        tasks.spawn(grpc);
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
        let (watches, _) = parts.services.watcher.counts();
        tracing::info!(watches, "not ready any more: health is NOT_SERVING, and watches end");
        health.end();
        parts.services.stopping.cancel();
        tracing::info!(
            connections = under_way.connections(),
            calls = under_way.calls(),
            longest_ms = millis(DRAIN_TIMEOUT),
            "draining: no connection is accepted, and those that are open get GOAWAY and end with their calls"
        );
        let began = Instant::now();
        drain.cancel();
        // The gRPC task ends after its last call; the admin listener answers until then.
        parts.services.tasks.close();
        let drained = timeout(DRAIN_TIMEOUT, async {
            let ended = tasks.join_next().await;
            parts.services.tasks.wait().await;
            ended
        });
        let result = match drained.await {
            Ok(Some(Ok(Ok(())))) => {
                tracing::info!(duration_ms = millis(began.elapsed()), "drained: every call has ended");
                Ok(())
            }
            Ok(ended) => Err(Error::Ended(ended.map_or("it was gone".to_owned(), describe))),
            Err(_) => {
                tracing::warn!(
                    connections = under_way.connections(),
                    calls = under_way.calls(),
                    "the drain timed out; open connections are cut, and calls with them"
                );
                Ok(())
            }
        };
        end.cancel();
        tasks.shutdown().await;
        tracing::info!("every connection is closed");
        result
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("grpc", &self.grpc).field("admin", &self.admin).finish()
    }
}
