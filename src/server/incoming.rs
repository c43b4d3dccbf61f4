//! Accepts connections, and completes their TLS handshakes before any HTTP.
//!
//! Handshakes run concurrently, and each has a timeout.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{Stream, unfold};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use crate::tls::Tls;

/// The timeout of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The backoff after a failure to accept, such as a lack of file descriptors.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// The other end of a connection; an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its verified certificate chain, its own certificate first.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

/// A connection that is ready for HTTP.
pub(super) struct AcceptedConnection {
    io: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    peer: Peer,
}

/// Accepts until it is dropped. It never fails.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
) -> impl Stream<Item = io::Result<AcceptedConnection>> {
    let incoming = Incoming { listener, tls, handshakes: JoinSet::new(), backoff: Duration::ZERO };
    unfold(incoming, async |mut incoming| Some((Ok(incoming.next().await), incoming)))
}

struct Incoming {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    handshakes: JoinSet<io::Result<AcceptedConnection>>,
    backoff: Duration,
}

impl Incoming {
    async fn next(&mut self) -> AcceptedConnection {
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
                    let peer = Peer { address, certificates: None };
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
    Ok(AcceptedConnection { io: Either::Right(Box::new(stream)), peer: Peer { address, certificates } })
}

impl Connected for AcceptedConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for AcceptedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for AcceptedConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
