//! Accepts connections, for as long as there are places for them.

use std::{io, mem, net::SocketAddr, os::fd::AsFd, sync::Arc, time::Duration};

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::places::{Admission, Place, Places};
use crate::telemetry::Failure;

/// How many connections wait to be accepted, where the system allows it.
const BACKLOG: u32 = 1024;

/// A peer that is silent for so long is asked whether it is still there, so many times, so far apart.
const KEEPALIVE: (Duration, u32, Duration) = (Duration::from_secs(15), 3, Duration::from_secs(5));

/// How long what was sent may be unacknowledged, in milliseconds.
const UNACKNOWLEDGED_MILLIS: u32 = 30_000;

/// The back-off after a failure to accept, such as a lack of descriptors.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// The shortest time between two log lines about connections that are not accepted.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// A bound address.
pub(super) struct Listener {
    socket: TcpListener,
    places: Arc<Places>,
    backoff: Duration,
    /// When the next log line may be written.
    next_log: Option<Instant>,
    /// What was not accepted since the last one.
    unlogged: u32,
    /// A line said that connections cannot be accepted.
    cannot_accept: bool,
}

/// Binds an address; port 0 takes a free one.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // What is accepted inherits these.
    socket.set_nodelay(true)?;
    let (idle, count, interval) = KEEPALIVE;
    let fd = socket.as_fd();
    set_socket_keepalive(fd, true)?;
    set_tcp_keepidle(fd, idle)?;
    set_tcp_keepcnt(fd, count)?;
    set_tcp_keepintvl(fd, interval)?;
    set_tcp_user_timeout(fd, UNACKNOWLEDGED_MILLIS)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Listener {
    pub(super) const fn new(socket: TcpListener, places: Arc<Places>) -> Self {
        Self { socket, places, backoff: Duration::ZERO, next_log: None, unlogged: 0, cannot_accept: false }
    }

    /// The next connection that has a place. It never fails. Cancelling it may close one connection, so only a stop does.
    async fn next(&mut self) -> (TcpStream, Place) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    self.backoff = Duration::ZERO;
                    if mem::take(&mut self.cannot_accept) {
                        tracing::info!("connections are accepted again");
                    }
                    if let Some(place) = self.admit(address).await {
                        return (stream, place);
                    }
                    self.log("there is no place for more connections; they are closed");
                }
                Err(error) => {
                    self.backoff = (self.backoff * 2).clamp(SHORTEST_BACKOFF, LONGEST_BACKOFF);
                    self.places.metrics().failed(Failure::Accept);
                    tracing::debug!(%error, "a connection cannot be accepted");
                    self.cannot_accept |=
                        self.log("connections cannot be accepted; check the limit of open files");
                    let now = Instant::now();
                    self.places.make_room(now);
                    self.places.freed(now + self.backoff).await;
                }
            }
        }
    }

    async fn admit(&self, address: SocketAddr) -> Option<Place> {
        loop {
            match self.places.admit(address.ip(), Instant::now()) {
                Admission::Admitted(place) => return Some(place),
                Admission::Refused => return None,
                // The others wait in the backlog.
                Admission::NotBefore(moment) => self.places.freed(moment).await,
            }
        }
    }

    /// Gives each connection to a task of its own, until `drain`; then waits for these tasks. Dropped before that, it
    /// cuts their connections.
    pub(super) async fn serve<F>(mut self, drain: CancellationToken, keep: impl Fn(TcpStream, Place) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        while let Some((stream, place)) = drain.run_until_cancelled(self.next()).await {
            connections.spawn(keep(stream, place));
            while connections.try_join_next().is_some() {}
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    /// Whether it has logged this, and not just counted it.
    fn log(&mut self, what: &str) -> bool {
        self.unlogged += 1;
        let now = Instant::now();
        let is_due = self.next_log.is_none_or(|next| now >= next);
        if is_due {
            tracing::warn!(connections = self.unlogged, "{what}");
            (self.next_log, self.unlogged) = (Some(now + LOG_INTERVAL), 0);
        }
        is_due
    }
}
