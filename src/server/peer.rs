//! The other end of a connection: its TLS handshake, who it is, and its calls.

use std::{io, ops::Deref, sync::Arc};

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::places::Place;
use crate::tls::Tls;

/// The other end of a connection.
pub(super) struct Peer {
    /// Its IP address.
    pub(super) ip: Arc<str>,
    /// Its verified certificate chain, its own certificate first.
    pub(super) certificates: Option<Arc<[CertificateDer<'static>]>>,
    /// The connection's place.
    pub(super) place: Arc<Place>,
}

/// A call under way, until its answer's last byte: the connection that it came by is not idle for so long.
pub(super) struct Call(Arc<Peer>);

impl Call {
    pub(super) fn begin(peer: Arc<Peer>) -> Self {
        peer.place.connection.begin_call();
        Self(peer)
    }
}

impl Deref for Call {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.0
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.place.connection.end_call();
    }
}

/// Its bytes.
pub(super) type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Completes a connection's TLS handshake, if it is to have one.
pub(super) async fn handshake(
    tls: Option<&Tls>,
    stream: TcpStream,
    place: Arc<Place>,
) -> io::Result<(Io, Peer)> {
    let ip = place.peer().to_string().into();
    let Some(tls) = tls else {
        return Ok((Either::Left(stream), Peer { ip, certificates: None, place }));
    };
    let stream = tls.acceptor().accept(stream).await.inspect_err(|error| {
        tracing::debug!(%error, "a TLS handshake failed");
    })?;
    let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
    Ok((Either::Right(Box::new(stream)), Peer { ip, certificates, place }))
}
