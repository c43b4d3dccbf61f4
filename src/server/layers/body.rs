//! A request's body, with room for its message taken before it is received.
//!
//! A message says its length first: a byte that is 1 if it is compressed, and four of its length ("gRPC over HTTP2",
//! "Length-Prefixed-Message"). Room for all of it is taken then, or the call is refused. So what half-sent messages
//! hold is bounded, and shared out like everything else.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use crate::{
    error::Error,
    principal::Principal,
    server::places::Place,
    shares::{Holder, Refused, Share, Shares},
};

/// A message's prefix.
const PREFIX: usize = 5;

/// Messages up to this length take no room: their calls are bounded. Those of callers that nobody knows are no longer.
const SMALL: usize = 4 * 1024;

/// The most that the messages of one connection may hold.
const MOST_OF_CONNECTION: usize = 8 * 1024 * 1024;

/// A request's body.
pub(super) struct RequestBody {
    body: Incoming,
    shares: Arc<Shares>,
    caller: Option<Principal>,
    place: Arc<Place>,
    /// The longest message that is taken: one that is longer is refused by who reads it.
    longest: usize,
    prefix: [u8; PREFIX],
    filled: usize,
    /// Bytes of the message that are still to come.
    missing: usize,
    room: Option<Room>,
}

/// Room for a message, of its caller and on its connection.
struct Room {
    _share: Share,
    place: Arc<Place>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.place.connection.release(self.bytes);
    }
}

impl RequestBody {
    pub(super) const fn new(
        body: Incoming,
        shares: Arc<Shares>,
        caller: Option<Principal>,
        place: Arc<Place>,
        longest: usize,
    ) -> Self {
        Self { body, shares, caller, place, longest, prefix: [0; PREFIX], filled: 0, missing: 0, room: None }
    }

    /// Goes on with these bytes: takes room for each message that begins in them.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        loop {
            let skipped = self.missing.min(bytes.len());
            (self.missing, bytes) = (self.missing - skipped, &bytes[skipped..]);
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = (PREFIX - self.filled).min(bytes.len());
            self.prefix[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            (self.filled, bytes) = (self.filled + taken, &bytes[taken..]);
            if self.filled < PREFIX {
                return Ok(());
            }
            self.filled = 0;
            let [_, a, b, c, d] = self.prefix;
            self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
            self.make_room()?;
        }
    }

    fn make_room(&mut self) -> Result<(), Refused> {
        self.room = None;
        let bytes = self.missing;
        if bytes <= SMALL || bytes > self.longest {
            return Ok(());
        }
        let share = self.shares.take(Holder::of(self.caller.as_ref()), bytes)?;
        if !self.place.connection.reserve(bytes, MOST_OF_CONNECTION) {
            return Err(self.shares.own());
        }
        self.room = Some(Room { _share: share, place: self.place.clone(), bytes });
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && let Err(refused) = self.read(bytes)
        {
            return Poll::Ready(Some(Err(Error::NoShare(refused).into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::from_error(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
