//! Keeps connections: HTTP/2 alone, an end for those that say nothing, and a graceful end of each at its age and at a
//! stop.
//!
//! hyper's own loop over tonic's: tonic leaves protections of HTTP/2 off, keeps silent connections for good, and its
//! router costs each call a sixth of its time.

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
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::Connection,
    guarded::Guarded,
    layers::{Answer, Layers},
    peer::{Call, Peer, handshake},
    places::Place,
};
use crate::{
    entropy::Entropy,
    telemetry::{Cut, Failure},
    tls::Tls,
    turn::Turn,
};

/// How long a client has for its TLS handshake and HTTP/2's preface, together.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How long a client has for its first call. One that has none is closed gracefully, and may come again.
const FIRST_CALL: Duration = Duration::from_secs(15);

/// How long a connection without calls may take to end once it was asked to: for its age, and for a stop.
const FAREWELL: Duration = Duration::from_secs(10);
const HASTY_FAREWELL: Duration = Duration::from_secs(1);

/// How often it is looked at meanwhile. At a stop it is cut after so many looks at which its calls waited for its client,
/// who had neither sent nor taken a byte.
const LOOK: Duration = Duration::from_millis(250);
const MOST_QUIET_LOOKS: u32 = 5;

const KIB: u32 = 1024;

/// What all connections of gRPC have alike.
pub(super) struct Keeper {
    http2: http2::Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
    layers: Arc<Layers>,
    entropy: Arc<dyn Entropy>,
    age: Duration,
    drain: CancellationToken,
}

/// What becomes of a connection.
enum End {
    Gracefully,
    Cut(Cut),
}

impl Keeper {
    /// `age`: at which a connection is closed gracefully, a tenth sooner or later. At twice its age it is cut; by then
    /// every call and every watch that it began with has ended.
    pub(super) fn new(
        tls: Option<Arc<Tls>>,
        layers: Layers,
        entropy: Arc<dyn Entropy>,
        age: Duration,
        drain: CancellationToken,
    ) -> Arc<Self> {
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
        Arc::new(Self { http2, tls, layers: Arc::new(layers), entropy, age, drain })
    }

    /// Keeps a connection until it has ended. It holds its place for so long.
    pub(super) async fn keep(self: Arc<Self>, stream: TcpStream, place: Place) {
        if let Some(cause) = self.serve(stream, &Arc::new(place)).await {
            tracing::debug!(cause = cause.as_str(), "a connection was cut");
        }
    }

    /// Gives why the connection was cut, if it was.
    async fn serve(&self, stream: TcpStream, place: &Arc<Place>) -> Option<Cut> {
        let connection = &place.connection;
        let cut = |cause| {
            place.metrics().cut(cause);
            Some(cause)
        };
        let silence = connection.accepted + SILENCE;
        let connected = tokio::select! {
            connected = handshake(self.tls.as_deref(), stream, place.clone()) => connected,
            () = sleep_until(silence) => return cut(Cut::Silent),
            () = connection.must_leave() => return cut(Cut::MadeRoom),
            () = self.drain.cancelled() => return cut(Cut::Stop),
        };
        let Ok((io, peer)) = connected else {
            place.metrics().failed(Failure::Tls);
            return None;
        };
        let io = TokioIo::new(Guarded::new(io, connection.clone()));
        self.layers.greet(&peer).await;
        let calls = Calls { layers: self.layers.clone(), peer: Arc::new(peer) };
        let mut http = pin!(self.http2.serve_connection(io, calls));
        let age = jittered(self.age, &*self.entropy);
        let end = tokio::select! {
            ended = after_its_calls(http.as_mut(), connection) => return note(ended, place),
            end = self.end_of(connection, age) => end,
        };
        if let End::Cut(cause) = end {
            return cut(cause);
        }
        http.as_mut().graceful_shutdown();
        tokio::select! {
            ended = after_its_calls(http, connection) => note(ended, place),
            cause = self.last_moment(connection, age) => cut(cause),
        }
    }

    /// When a connection must end, and how.
    async fn end_of(&self, connection: &Connection, age: Duration) -> End {
        let accepted = connection.accepted;
        let time = async {
            sleep_until(accepted + SILENCE.min(age)).await;
            if !connection.has_preface() {
                return End::Cut(Cut::Silent);
            }
            sleep_until(accepted + FIRST_CALL.min(age)).await;
            if connection.has_called() {
                sleep_until(accepted + age).await;
            }
            End::Gracefully
        };
        tokio::select! {
            end = time => end,
            () = connection.must_leave() => End::Cut(Cut::MadeRoom),
            () = self.drain.cancelled() => End::Gracefully,
        }
    }

    /// When a connection is cut that was asked to end, and why.
    async fn last_moment(&self, connection: &Connection, age: Duration) -> Cut {
        let asked = Instant::now();
        let silent = async {
            let (mut moves, mut quiet) = (connection.moves(), 0);
            loop {
                sleep(LOOK).await;
                let is_quiet = connection.waits_for_its_client() && connection.moves() == moves;
                (moves, quiet) = (connection.moves(), if is_quiet { quiet + 1 } else { 0 });
                let (is_stop, passed) = (self.drain.is_cancelled(), asked.elapsed());
                let is_time = passed >= if is_stop { HASTY_FAREWELL } else { FAREWELL };
                if is_time && connection.is_idle() || is_stop && quiet >= MOST_QUIET_LOOKS {
                    return;
                }
            }
        };
        tokio::select! {
            () = silent => Cut::Idle,
            () = connection.must_leave() => Cut::MadeRoom,
            () = sleep_until(connection.accepted + age * 2) => Cut::Age,
        }
    }
}

/// A tenth sooner or later, so that connections that began together do not end together.
fn jittered(age: Duration, entropy: &dyn Entropy) -> Duration {
    age * 9 / 10 + age / 5 * u32::from(entropy.bytes()[0]) / 255
}

fn note(ended: hyper::Result<()>, place: &Place) -> Option<Cut> {
    if let Err(error) = ended {
        place.metrics().failed(Failure::Http);
        tracing::debug!(%error, "a connection broke off");
    }
    None
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
        Box::pin(self.layers.clone().call(request, Call::begin(self.peer.clone())).map(Ok))
    }
}

/// Polls a connection once the tasks have run that its thread had to run already: its calls among them, so that their
/// answers leave in one write. Otherwise each answer would wake it, and be a write of its own.
async fn after_its_calls<C: Future>(mut http: Pin<&mut C>, connection: &Connection) -> C::Output {
    let mut turn = Turn::default();
    poll_fn(|context| {
        ready!(turn.poll(context));
        connection.begin_turn();
        http.as_mut().poll(context)
    })
    .await
}
