//! Connections as they come in: accepted and, with TLS, shaken hands with, before any byte of
//! theirs is HTTP.
//!
//! A handshake that takes long holds up nobody else, and ends after some seconds.

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

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pauses after connections that could not be accepted, because the process has no file
/// descriptors left for example: each twice as long as the one before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The other end of a connection; an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificates that it presented, its own first, verified up to a CA of ours.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

/// A connection whose bytes are HTTP.
pub(super) struct Connection {
    io: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    peer: Peer,
}

/// Accepts until it is dropped. It never fails.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let incoming = Incoming { listener, tls, handshakes: JoinSet::new(), pause: Duration::ZERO };
    unfold(incoming, async |mut incoming| Some((Ok(incoming.next().await), incoming)))
}

struct Incoming {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    handshakes: JoinSet<io::Result<Connection>>,
    pause: Duration,
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            let accepted = tokio::select! {
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        continue;
                    }
                    Err(_) => continue,
                },
                accepted = accept(&self.listener, self.pause) => accepted,
            };
            match (accepted, &self.tls) {
                (Ok((stream, address)), None) => {
                    self.pause = Duration::ZERO;
                    let peer = Peer { address, certificates: None };
                    return Connection { io: Either::Left(stream), peer };
                }
                (Ok((stream, address)), Some(tls)) => {
                    self.pause = Duration::ZERO;
                    self.handshakes.spawn(shake_hands(tls.clone(), stream, address));
                }
                (Err(error), _) => {
                    if self.pause < LONGEST_PAUSE {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener, pause: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    if !pause.is_zero() {
        sleep(pause).await;
    }
    let (stream, address) = listener.accept().await?;
    // Else a small answer waits for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

async fn shake_hands(tls: Arc<Tls>, stream: TcpStream, address: SocketAddr) -> io::Result<Connection> {
    let stream = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await??;
    let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
    Ok(Connection { io: Either::Right(Box::new(stream)), peer: Peer { address, certificates } })
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
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
