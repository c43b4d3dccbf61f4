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
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::fields::FieldCount;
use crate::{
    call::EffectSoFar,
    error::Error,
    methods::Method,
    principal::Principal,
    server::{health::LONGEST_REQUEST, peer::Waiting, places::Place},
    shares::{Holder, Refused, Share, Shares},
};

/// A message's prefix.
const PREFIX: usize = 5;

/// Messages up to this length take no room: their calls are bounded. Those of callers that nobody knows are no longer.
const SMALL: usize = 4 * 1024;

const TOO_MANY_FIELDS: &str = "no message has more than 2,048 fields";

/// The most that the messages of one connection may hold.
const MOST_OF_CONNECTION: usize = 8 * 1024 * 1024;

/// A request's body.
pub(super) struct RequestBody {
    body: Incoming,
    method: Method,
    shares: Arc<Shares>,
    caller: Option<Principal>,
    place: Arc<Place>,
    prefix: [u8; PREFIX],
    filled: usize,
    /// Bytes of the message that are still to come.
    missing: usize,
    room: Option<Room>,
    fields: FieldCount,
    effect: EffectSoFar,
    /// While the rest of the message is to come.
    waits: Option<Waiting>,
    /// Done when the call's place goes to another.
    must_end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
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

/// The longest message of a request, in bytes.
const fn longest_request(method: Method) -> usize {
    match method {
        Method::Ours(rpc) => rpc.row().largest_request,
        Method::Open(_) | Method::Unknown => LONGEST_REQUEST,
    }
}

impl RequestBody {
    pub(super) fn new(
        body: Incoming,
        method: Method,
        shares: Arc<Shares>,
        caller: Option<Principal>,
        place: Arc<Place>,
        effect: EffectSoFar,
        must_end: Option<CancellationToken>,
    ) -> Self {
        Self {
            body,
            method,
            shares,
            caller,
            place,
            prefix: [0; PREFIX],
            filled: 0,
            missing: 0,
            room: None,
            fields: FieldCount::default(),
            effect,
            waits: None,
            must_end: must_end.map(|token| Box::pin(token.cancelled_owned())),
        }
    }

    /// Goes on with these bytes: takes room for each message that begins in them.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (of_message, after) = bytes.split_at(self.missing.min(bytes.len()));
            // A small one has no room of its own, and cannot have too many.
            if self.room.is_some() && !self.fields.read(of_message) {
                return Err(Error::invalid("", TOO_MANY_FIELDS));
            }
            self.missing -= of_message.len();
            let (of_prefix, after) = after.split_at((PREFIX - self.filled).min(after.len()));
            self.prefix[self.filled..self.filled + of_prefix.len()].copy_from_slice(of_prefix);
            self.filled += of_prefix.len();
            if self.filled == PREFIX {
                self.begin_message()?;
            }
            bytes = after;
            if self.missing == 0 && self.filled == 0 {
                self.effect.set_arrived();
            }
        }
        Ok(())
    }

    /// After a prefix.
    fn begin_message(&mut self) -> Result<(), Error> {
        let [_, length @ ..] = self.prefix;
        self.filled = 0;
        self.missing = u32::from_be_bytes(length) as usize;
        self.fields = FieldCount::default();
        self.make_room().map_err(Error::NoShare)
    }

    fn make_room(&mut self) -> Result<(), Refused> {
        self.room = None;
        let bytes = self.missing;
        // One that is too long is refused by who reads it.
        if bytes <= SMALL || bytes > longest_request(self.method) {
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
        // Whoever reads it may wait for its client without end.
        if let Some(must_end) = &mut self.must_end
            && must_end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(Status::cancelled("the call's place went to another"))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let waits = polled.is_pending() && !matches!(self.method, Method::Open(_));
        if waits != self.waits.is_some() {
            self.waits = waits.then(|| Waiting::begin(self.place.clone()));
        }
        let frame = ready!(polled);
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && let Err(error) = self.read(bytes)
        {
            return Poll::Ready(Some(Err(error.into())));
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
