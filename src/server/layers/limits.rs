//! How many calls may be under way, by what they are: each kind has places of its own, so that none waits for another.
//!
//! Health is never refused, but for its watches, and for more of it on one connection than a probe would ask.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use hyper::body::Incoming;

use super::body::RequestBody;
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

/// Of a process's memory limit there is one call for so many bytes: it takes some 10 KiB until it is answered.
const MEMORY_OF_CALL: usize = 128 * 1024;

/// So much of a process's memory limit may be messages that are being received.
const MEMORY_SHARE_OF_BYTES: usize = 8;

/// Calls of health and reflection on one connection, and as many streams of theirs.
const MOST_OPEN_OF_CONNECTION: u32 = 8;

/// The places for calls, and for their messages.
pub(crate) struct Limits {
    local: Arc<Shares>,
    batches: Arc<Shares>,
    upstream: Arc<Shares>,
    watches: Arc<Shares>,
    reflections: Arc<Shares>,
    bodies: Arc<Shares>,
    /// Calls of health and reflection that were too many on one connection.
    refused_open_calls: Arc<AtomicU64>,
}

/// A call's places, until its answer's last byte.
#[derive(Default)]
pub(super) struct Admitted {
    _share: Option<Share>,
    _open: Option<OpenCall>,
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
        let calls = memory / MEMORY_OF_CALL;
        Self {
            local: Shares::new("calls", MOST_LOCAL.min(calls)),
            batches: Shares::new("batches", MOST_BATCHES.min(memory / MEMORY_OF_BATCH)),
            upstream: Shares::new("upstream calls", MOST_UPSTREAM.min(calls)),
            watches: Shares::new("watches", MOST_WATCHES.min(calls)),
            reflections: Shares::new("reflection streams", MOST_REFLECTIONS),
            bodies: Shares::new("request bytes", MOST_BYTES.min(memory / MEMORY_SHARE_OF_BYTES)),
            refused_open_calls: Arc::default(),
        }
    }

    /// What calls take places of, for the metrics.
    pub(crate) fn of_calls(&self) -> [Arc<Shares>; 5] {
        [&self.local, &self.batches, &self.upstream, &self.watches, &self.reflections].map(Arc::clone)
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
                (Action::Watches, _) => &self.watches,
                (_, Reach::Local) => &self.local,
                (_, Reach::Upstream) => &self.upstream,
            },
        };
        let share = shares.take(Holder::of(caller), 1).map_err(Error::NoShare)?;
        Ok(Admitted { _share: Some(share), _open: None })
    }

    /// Of health and reflection a stream has a place: of whoever has made another call by its connection. Other calls of
    /// theirs are bounded on each connection alone.
    fn admit_open(&self, method: Method, peer: &Peer) -> Result<Admitted, Error> {
        let connection = &peer.place.connection;
        let shares = method.open_stream().map(|stream| match stream {
            OpenStream::Health => &self.watches,
            OpenStream::Reflection => &self.reflections,
        });
        let is_stream = shares.is_some();
        if !connection.begin_open_call(is_stream, MOST_OPEN_OF_CONNECTION) {
            self.refused_open_calls.fetch_add(1, Relaxed);
            return Err(Error::NoShare(Refused::OwnShare { what: "health and reflection on a connection" }));
        }
        let open = OpenCall { place: peer.place.clone(), is_stream };
        let share = shares.map(|shares| shares.take(Holder::of(connection.client()), 1)).transpose();
        Ok(Admitted { _share: share.map_err(Error::NoShare)?, _open: Some(open) })
    }

    /// A request's body, whose messages of up to so many bytes take room.
    pub(super) fn body(
        &self,
        body: Incoming,
        caller: Option<Principal>,
        peer: &Peer,
        longest: usize,
        effect: EffectSoFar,
    ) -> RequestBody {
        RequestBody::new(body, self.bodies.clone(), caller, peer.place.clone(), longest, effect)
    }
}
