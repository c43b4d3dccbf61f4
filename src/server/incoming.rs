//! Accepts connections, and completes their TLS handshakes before any HTTP.
//!
//! Handshakes run concurrently, and each has a timeout.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::tls::Tls;

/// The timeout of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The backoff after a failure to accept, such as a lack of file descriptors.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its IP address.
    pub(super) ip: Arc<str>,
    /// Its verified certificate chain, its own certificate first.
    pub(super) certificates: Option<Arc<[CertificateDer<'static>]>>,
}

/// A connection that is ready for HTTP.
pub(super) struct AcceptedConnection {
    pub(super) io: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    pub(super) peer: Peer,
}

/// Accepts connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    handshakes: JoinSet<io::Result<AcceptedConnection>>,
    backoff: Duration,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        Self { listener, tls, handshakes: JoinSet::new(), backoff: Duration::ZERO }
    }

    /// The next connection. It never fails.
    pub(super) async fn next(&mut self) -> AcceptedConnection {
        loop {
            let accepted = tokio::select! {
                Some(handshake) = self.handshakes.join_next() => match handshake {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        continue;
                    }
                    Err(_) => continue,
                },
                accepted = accept(&self.listener, self.backoff) => accepted,
            };
            match (accepted, &self.tls) {
                (Ok((stream, address)), None) => {
                    self.backoff = Duration::ZERO;
                    let peer = Peer { ip: text_of(address), certificates: None };
                    return AcceptedConnection { io: Either::Left(stream), peer };
                }
                (Ok((stream, address)), Some(tls)) => {
                    self.backoff = Duration::ZERO;
                    self.handshakes.spawn(handshake(tls.clone(), stream, address));
                }
                (Err(error), _) => {
                    if self.backoff < LONGEST_BACKOFF {
                        tracing::warn!(%error, "connections cannot be accepted; check the limit of open files");
                    }
                    self.backoff = (self.backoff * 2).clamp(SHORTEST_BACKOFF, LONGEST_BACKOFF);
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener, backoff: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    if !backoff.is_zero() {
        sleep(backoff).await;
    }
    let (stream, address) = listener.accept().await?;
    // Otherwise a small response waits for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

async fn handshake(tls: Arc<Tls>, stream: TcpStream, address: SocketAddr) -> io::Result<AcceptedConnection> {
    let stream = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await??;
    let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
    Ok(AcceptedConnection {
        io: Either::Right(Box::new(stream)),
        peer: Peer { ip: text_of(address), certificates },
    })
}

fn text_of(address: SocketAddr) -> Arc<str> {
    address.ip().to_string().into()
}
