//! How many calls may be under way, by what they are: each kind has places of its own, so that none waits for another.
//!
//! Health is never refused, but for its watches, and for more of it on one connection than a probe would ask.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::Response;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{
    body::RequestBody,
    open_streams::{OpenStream as StreamPlace, OpenStreams},
};
use crate::{
    call::EffectSoFar,
    error::Error,
    methods::{Action, Method, OpenStream, Reach, Rpc},
    principal::Principal,
    server::{peer::Peer, places::Place},
    shares::{Holder, Refused, Share, Shares},
};

/// Calls that this process answers alone.
const MOST_LOCAL: usize = 4096;

/// Calls that wait for the upstream, or for another call's answer from it. How many of them go there at once has
/// limits of its own.
const MOST_UPSTREAM: usize = 4096;

/// Batches: their answers are long, and a caller may read them slowly.
const MOST_BATCHES: usize = 64;

/// Of a process's memory limit there is one batch for so many bytes.
const MEMORY_OF_BATCH: usize = 4 * 1024 * 1024;

/// Streams that stay open: of conversions and of health, and of reflection.
const MOST_WATCHES: usize = 1024;
const MOST_REFLECTIONS: usize = 128;

/// Bytes of the messages that are being received.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Of a process's memory limit so much is for itself, and for connections without a call.
const MEMORY_OF_PROCESS: usize = 32 * 1024 * 1024;

/// Of the rest there is one call for so many bytes: it takes some 10 KiB until it is answered.
const MEMORY_OF_CALL: usize = 96 * 1024;

/// As many calls there are however low the limit is.
const FEWEST_CALLS: usize = 32;

/// So much of a process's memory limit may be messages that are being received.
const MEMORY_SHARE_OF_BYTES: usize = 8;

/// Calls of health and reflection on one connection, and as many streams of theirs.
const MOST_OPEN_OF_CONNECTION: u32 = 8;

/// The places for calls, and for their messages.
pub(crate) struct Limits {
    local: Arc<Shares>,
    batches: Arc<Shares>,
    upstream: Arc<Shares>,
    watches: Arc<OpenStreams>,
    reflections: Arc<OpenStreams>,
    bodies: Arc<Shares>,
    /// Calls of health and reflection that were too many on one connection.
    refused_open_calls: Arc<AtomicU64>,
}

/// A call's places, until its answer's last byte.
#[derive(Default)]
pub(super) struct Admitted {
    _share: Option<Share>,
    open: Option<OpenCall>,
    stream: Option<StreamPlace>,
}

impl Admitted {
    /// Whether it is a call of health or reflection.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Cancelled when its place goes to another; `None`: it never does.
    fn must_end(&self) -> Option<CancellationToken> {
        self.stream.as_ref().map(StreamPlace::must_end)
    }

    /// The call's answer, which ends early if its place goes to another.
    pub(super) fn limit(&self, answer: Response<Body>) -> Response<Body> {
        match &self.stream {
            Some(stream) => stream.limit(answer),
            None => answer,
        }
    }
}

/// A call of health or reflection on its connection.
struct OpenCall {
    place: Arc<Place>,
    is_stream: bool,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.place.connection.end_open_call(self.is_stream);
    }
}

impl Limits {
    /// What there is room for. `memory`: this process's limit, in bytes, if it has one.
    pub(crate) fn within(memory: Option<u64>) -> Self {
        let memory = memory.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        let calls = (memory.saturating_sub(MEMORY_OF_PROCESS) / MEMORY_OF_CALL).max(FEWEST_CALLS);
        Self {
            local: Shares::new("calls", MOST_LOCAL.min(calls)),
            batches: Shares::new("batches", MOST_BATCHES.min(memory / MEMORY_OF_BATCH)),
            upstream: Shares::new("upstream calls", MOST_UPSTREAM.min(calls)),
            watches: OpenStreams::new(Shares::new("watches", MOST_WATCHES.min(calls))),
            reflections: OpenStreams::new(Shares::new("reflection streams", MOST_REFLECTIONS)),
            bodies: Shares::new("request bytes", MOST_BYTES.min(memory / MEMORY_SHARE_OF_BYTES)),
            refused_open_calls: Arc::default(),
        }
    }

    /// What calls take places of, for the metrics.
    pub(crate) fn of_calls(&self) -> [Arc<Shares>; 5] {
        [&self.local, &self.batches, &self.upstream, &self.watches.shares, &self.reflections.shares]
            .map(Arc::clone)
    }

    /// Of bytes of messages.
    pub(crate) const fn of_bytes(&self) -> &Arc<Shares> {
        &self.bodies
    }

    /// How many calls of health and reflection were too many on one connection.
    pub(crate) const fn refused_open_calls(&self) -> &Arc<AtomicU64> {
        &self.refused_open_calls
    }

    /// The places of a call. `caller`: `None` where nobody was identified.
    pub(super) fn admit(
        &self,
        method: Method,
        caller: Option<&Principal>,
        peer: &Peer,
    ) -> Result<Admitted, Error> {
        let shares = match method {
            Method::Unknown => return Ok(Admitted::default()),
            Method::Open(_) => return self.admit_open(method, peer),
            Method::Ours(Rpc::BatchIssueTokens) => &self.batches,
            Method::Ours(rpc) => match (rpc.row().action, rpc.row().reach) {
                (Action::Watches, _) => &self.watches.shares,
                (_, Reach::Local) => &self.local,
                (_, Reach::Upstream) => &self.upstream,
            },
        };
        let share = shares.take(Holder::of(caller), 1).map_err(Error::NoShare)?;
        Ok(Admitted { _share: Some(share), ..Admitted::default() })
    }

    /// Of health and reflection a stream has a place: of whoever has made another call by its connection, or among those of
    /// connections that nobody has authenticated. Other calls of theirs are bounded on each connection alone.
    fn admit_open(&self, method: Method, peer: &Peer) -> Result<Admitted, Error> {
        let connection = &peer.place.connection;
        let streams = method.open_stream().map(|stream| match stream {
            OpenStream::Health => &self.watches,
            OpenStream::Reflection => &self.reflections,
        });
        if !connection.begin_open_call(streams.is_some(), MOST_OPEN_OF_CONNECTION) {
            self.refused_open_calls.fetch_add(1, Relaxed);
            return Err(Error::NoShare(Refused::OwnShare { what: "health and reflection on a connection" }));
        }
        let open = Some(OpenCall { place: peer.place.clone(), is_stream: streams.is_some() });
        match (streams, connection.client()) {
            (Some(streams), Some(client)) => {
                let share = streams.shares.take(Holder::Principal(client.as_str()), 1);
                Ok(Admitted { _share: Some(share.map_err(Error::NoShare)?), open, stream: None })
            }
            (Some(streams), None) => {
                let stream = streams.admit(&peer.place);
                Ok(Admitted { stream: Some(stream.map_err(Error::NoShare)?), open, ..Admitted::default() })
            }
            (None, _) => Ok(Admitted { open, ..Admitted::default() }),
        }
    }

    /// A request's body, whose messages take room.
    pub(super) fn body(
        &self,
        body: Incoming,
        method: Method,
        caller: Option<Principal>,
        peer: &Peer,
        effect: EffectSoFar,
        place: &Admitted,
    ) -> RequestBody {
        let (bodies, on) = (self.bodies.clone(), peer.place.clone());
        RequestBody::new(body, method, bodies, caller, on, effect, place.must_end())
    }
}
