//! Serves connections: HTTP/2 alone, and a graceful end of each at its age and at a stop.
//!
//! hyper's own loop over tonic's: tonic leaves protections of HTTP/2 off, and its router costs each call a sixth
//! of its time.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::ready,
    time::Duration,
};

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    incoming::{AcceptedConnection, Acceptor, Peer},
    layers::{Answer, Layers},
};
use crate::{tls::Tls, turn::Turn};

const KIB: u32 = 1024;

/// Every connection's settings.
fn http2() -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_local_error_reset_streams(1024)
        .max_pending_accept_reset_streams(20)
        .max_header_list_size(8 * KIB)
        .initial_stream_window_size(64 * KIB)
        .initial_connection_window_size(1024 * KIB)
        .max_frame_size(16 * KIB)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    http2
}

/// Serves until `drain`, and then until every connection has ended. Dropped before that, it cuts them.
///
/// `age`: at which a connection is closed gracefully. Its calls in flight are not cut.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    layers: Arc<Layers>,
    age: Duration,
    drain: CancellationToken,
) {
    let (mut incoming, http2) = (Acceptor::new(listener, tls), http2());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = drain.cancelled() => break,
            accepted = incoming.next() => {
                connections.spawn(connection(http2.clone(), accepted, layers.clone(), age, drain.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(incoming);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    http2: http2::Builder<TokioExecutor>,
    AcceptedConnection { io, peer }: AcceptedConnection,
    layers: Arc<Layers>,
    age: Duration,
    drain: CancellationToken,
) {
    let mut connection =
        pin!(http2.serve_connection(TokioIo::new(io), Calls { layers, peer: Arc::new(peer) }));
    let end = async {
        tokio::select! {
            () = drain.cancelled() => {}
            () = sleep(age) => {}
        }
    };
    let ended = tokio::select! {
        ended = after_its_calls(connection.as_mut()) => ended,
        () = end => {
            connection.as_mut().graceful_shutdown();
            after_its_calls(connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// The calls of a connection.
struct Calls {
    layers: Arc<Layers>,
    peer: Arc<Peer>,
}

impl Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    // Boxed: hyper and tokio move it several times before it is where it runs.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.layers.clone().call(request, self.peer.clone()).map(Ok))
    }
}

/// Polls a connection once the tasks have run that its thread had to run already: its calls among them, so that their
/// answers leave in one write. Otherwise each answer would wake it, and be a write of its own.
async fn after_its_calls<C: Future>(mut connection: Pin<&mut C>) -> C::Output {
    let mut turn = Turn::default();
    poll_fn(|context| {
        ready!(turn.poll(context));
        connection.as_mut().poll(context)
    })
    .await
}
