//! Streams of health and reflection on connections that nobody has authenticated. A probe's and a load balancer's watch are
//! among them, so a newcomer always gets one.
//!
//! They have one share together. When that is taken, one ends for the newcomer: of the address that has the most of them the
//! connection that has the most, and of that its oldest. So whoever takes many takes them from itself.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};

use crate::{
    error::Error,
    server::places::Place,
    shares::{Holder, Refused, Share, Shares},
};

/// The streams of connections that nobody has authenticated.
pub(super) struct OpenStreams {
    /// Of all streams of this kind.
    pub(super) shares: Arc<Shares>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// The oldest first.
    open: BTreeMap<u64, Open>,
}

struct Open {
    peer: IpAddr,
    /// Its connection's number.
    connection: u64,
    share: Share,
    must_end: CancellationToken,
}

/// A stream's place: free again when this is dropped.
pub(super) struct OpenStream {
    streams: Arc<OpenStreams>,
    number: u64,
    must_end: CancellationToken,
}

impl OpenStreams {
    pub(super) fn new(shares: Arc<Shares>) -> Arc<Self> {
        Arc::new(Self { shares, state: Mutex::default() })
    }

    /// A place for one more. A connection that has as many as any other is refused.
    pub(super) fn admit(self: &Arc<Self>, place: &Place) -> Result<OpenStream, Refused> {
        let (peer, connection) = (place.peer(), place.connection.number);
        let mut state = self.state();
        let share = match self.shares.take(Holder::Unidentified, 1) {
            Ok(share) => share,
            Err(refused) => {
                let ends = state.who_ends(peer, connection);
                let ends = ends.and_then(|number| state.open.remove(&number)).ok_or(refused)?;
                ends.must_end.cancel();
                ends.share
            }
        };
        let (number, must_end) = (state.next, CancellationToken::new());
        state.next += 1;
        state.open.insert(number, Open { peer, connection, share, must_end: must_end.clone() });
        Ok(OpenStream { streams: self.clone(), number, must_end })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The stream that ends for one more of this connection.
    fn who_ends(&self, peer: IpAddr, connection: u64) -> Option<u64> {
        let (mut of_peer, mut of_connection) = (HashMap::new(), HashMap::new());
        for open in self.open.values() {
            *of_peer.entry(open.peer).or_insert(0) += 1;
            *of_connection.entry(open.connection).or_insert(0) += 1;
        }
        let held = |peer, connection| {
            let count = |count: Option<&usize>| count.copied().unwrap_or(0);
            (count(of_peer.get(&peer)), count(of_connection.get(&connection)))
        };
        // The last of equals: the oldest.
        let open = self.open.iter().rev().map(|(number, open)| (held(open.peer, open.connection), *number));
        let (most, number) = open.max_by_key(|(held, _)| *held)?;
        let own = held(peer, connection);
        (own.0 < most.0 || own.1 < most.1).then_some(number)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.state().open.remove(&self.number);
    }
}

impl OpenStream {
    /// Cancelled when the place goes to another.
    pub(super) fn must_end(&self) -> CancellationToken {
        self.must_end.clone()
    }

    /// The answer, which ends as overloaded once the place goes to another.
    pub(super) fn limit(&self, answer: Response<Body>) -> Response<Body> {
        let must_end = Some(Box::pin(self.must_end.clone().cancelled_owned()));
        let what = self.streams.shares.what();
        answer.map(|body| Body::new(LimitedBody { body, what, must_end }))
    }
}

struct LimitedBody {
    body: Body,
    what: &'static str,
    /// `None`: it has ended.
    must_end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(must_end) = &mut self.must_end else { return Poll::Ready(None) };
        if must_end.as_mut().poll(context).is_pending() {
            return Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(context)));
        }
        self.must_end = None;
        let status = Status::from(Error::NoShare(Refused::AllTaken { what: self.what }));
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.must_end.is_none() || self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An eighth of all.
    const MOST: usize = 8;

    /// A stream of a connection at an address; `None`: it is refused.
    fn open(streams: &Arc<OpenStreams>, address: u8, connection: u64) -> Option<OpenStream> {
        streams.admit(&Place::of_test(IpAddr::from([127, 0, 0, address]), connection)).ok()
    }

    fn ended(streams: &[OpenStream]) -> Vec<bool> {
        streams.iter().map(|stream| stream.must_end.is_cancelled()).collect()
    }

    #[test]
    fn whoever_has_most_makes_room_for_a_newcomer_and_is_refused_itself() {
        let streams = OpenStreams::new(Shares::new("watches", 8 * MOST));
        let probe = open(&streams, 1, 1).unwrap();
        let crowd: Vec<_> = (0..7).map(|stream| open(&streams, 2, 2 + stream / 4).unwrap()).collect();
        assert!(open(&streams, 2, 2).is_none(), "it has the most itself");
        let newcomer = open(&streams, 3, 4).unwrap();
        assert_eq!(ended(&crowd), [true, false, false, false, false, false, false]);
        drop((newcomer, crowd));
        assert!(!probe.must_end.is_cancelled());
        assert_eq!((streams.state().open.len(), streams.shares.taken()), (1, 1));
    }

    #[test]
    fn among_equals_the_oldest_makes_room_and_behind_one_address_every_connection_has_one() {
        let streams = OpenStreams::new(Shares::new("watches", 8 * MOST));
        let all: Vec<_> = (0..8).map(|connection| open(&streams, 1, connection).unwrap()).collect();
        assert!(open(&streams, 1, 3).is_none(), "it has as many as any other");
        let _newcomer = open(&streams, 1, 8).unwrap();
        assert!(ended(&all).into_iter().eq((0..8).map(|stream| stream == 0)));
    }
}
