//! How many calls may be under way, by what they are: each kind has places of its own, so that none waits for another.
//!
//! Health is never refused, but for its watches, and for more of it on one connection than a probe would ask.

use std::sync::Arc;

use hyper::body::Incoming;

use super::body::RequestBody;
use crate::{
    error::Error,
    methods::{Action, Method, Reach},
    principal::Principal,
    server::peer::Peer,
    shares::{Holder, Share, Shares},
};

/// Calls that this process answers alone.
const MOST_LOCAL: usize = 4096;

/// Calls that wait for the upstream, or for another call's answer from it. How many of them go there at once has
/// limits of its own.
const MOST_UPSTREAM: usize = 4096;

/// Streams that stay open, health's too.
const MOST_WATCHES: usize = 1024;

/// Bytes of the messages that are being received.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Calls of health and reflection on one connection.
const MOST_OPEN_OF_CONNECTION: u32 = 8;

/// The places for calls, and for their messages.
pub(crate) struct Limits {
    local: Arc<Shares>,
    upstream: Arc<Shares>,
    watches: Arc<Shares>,
    bodies: Arc<Shares>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            local: Shares::new("calls", MOST_LOCAL),
            upstream: Shares::new("upstream calls", MOST_UPSTREAM),
            watches: Shares::new("watches", MOST_WATCHES),
            bodies: Shares::new("request bytes", MOST_BYTES),
        }
    }
}

impl Limits {
    /// A place for a call, until its answer's last byte. `caller`: `None` where nobody was identified.
    pub(super) fn admit(
        &self,
        method: Method,
        caller: Option<&Principal>,
        peer: &Peer,
    ) -> Result<Option<Share>, Error> {
        let shares = match method {
            Method::Open(_) if peer.place.connection.calls() > MOST_OPEN_OF_CONNECTION => {
                return Err(Error::NoShare(self.watches.own()));
            }
            Method::Open(_) if method.is_open_stream() => &self.watches,
            Method::Open(_) | Method::Unknown => return Ok(None),
            Method::Ours(rpc) => match (rpc.row().action, rpc.row().reach) {
                (Action::Watches, _) => &self.watches,
                (_, Reach::Local) => &self.local,
                (_, Reach::Upstream) => &self.upstream,
            },
        };
        shares.take(Holder::of(caller), 1).map(Some).map_err(Error::NoShare)
    }

    /// A request's body, whose messages of up to so many bytes take room.
    pub(super) fn body(
        &self,
        body: Incoming,
        caller: Option<Principal>,
        peer: &Peer,
        longest: usize,
    ) -> RequestBody {
        RequestBody::new(body, self.bodies.clone(), caller, peer.place.clone(), longest)
    }
}
