//! The other end of a connection: its TLS handshake, who it is, and its calls.

use std::{io, ops::Deref, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::places::Place;
use crate::tls::Tls;

/// The other end of a connection.
pub(super) struct Peer {
    /// Its IP address.
    pub(super) ip: Arc<str>,
    /// Its port; `None`: it is gone already.
    pub(super) port: Option<u16>,
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
    /// From when on its client may give it up for its own deadline.
    may_be_given_up: Option<Instant>,
}

/// A caller whose deadlines are shorter is taken for one that resets its calls as it likes.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(50);

impl Call {
    pub(super) fn begin(peer: Arc<Peer>) -> Self {
        peer.place.connection.begin_call();
        Self { peer, waits: None, may_be_given_up: None }
    }

    /// How long its caller waits for it. The caller's clock began earlier than `arrived`, by up to a tenth of that.
    pub(super) fn set_patience(&mut self, arrived: Instant, patience: Duration) {
        if patience >= SHORTEST_PATIENCE {
            self.may_be_given_up = arrived.checked_add(patience / 10 * 9);
        }
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
        let connection = &self.peer.place.connection;
        if self.may_be_given_up.is_some_and(|moment| moment <= Instant::now()) {
            connection.note_at_deadline();
        }
        connection.end_call();
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
    let (ip, port) = (place.peer().to_string().into(), stream.peer_addr().ok().map(|address| address.port()));
    let Some(tls) = tls else {
        return Ok((Either::Left(stream), Peer { ip, port, certificates: None, place }));
    };
    let stream = tls.acceptor().accept(stream).await.inspect_err(|error| {
        tracing::debug!(%error, "a TLS handshake failed");
    })?;
    let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
    Ok((Either::Right(Box::new(stream)), Peer { ip, port, certificates, place }))
}
