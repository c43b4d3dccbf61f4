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
pub(super) struct Call {
    peer: Arc<Peer>,
    /// Once there is an answer, which its client is to take.
    waits: Option<Waiting>,
}

impl Call {
    pub(super) fn begin(peer: Arc<Peer>) -> Self {
        peer.place.connection.begin_call();
        Self { peer, waits: None }
    }

    /// Its answer is there: nobody works at it any more.
    pub(super) fn hand_over(mut self) -> Self {
        self.waits = Some(Waiting::begin(self.place.clone()));
        self
    }
}

impl Deref for Call {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.peer.place.connection.end_call();
    }
}

/// A call that waits for its client alone: for the rest of its message, or until its answer is taken.
pub(super) struct Waiting(Arc<Place>);

impl Waiting {
    pub(super) fn begin(place: Arc<Place>) -> Self {
        place.connection.begin_waiting();
        Self(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.connection.end_waiting();
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
