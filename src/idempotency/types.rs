//! What keeps results: its trait, and what goes in and out.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use tonic::async_trait;

use crate::{
    methods::Rpc,
    principal::Principal,
    shares::{Refused, Shares},
    whiteboard::Error,
};

/// How long a result is kept.
pub const RETENTION: Duration = Duration::from_mins(10);

/// How many bytes of results a replica keeps, or has the store keep for it, unless settings say otherwise.
pub const CAPACITY: usize = 16 * 1024 * 1024;

/// What a call takes that is under way, in bytes.
pub(super) const UNDER_WAY: usize = 1024;

/// What a call takes beside its result: its place in maps or in the store, and what its allocations cost.
pub(super) const BOOKKEEPING: usize = 256;

/// How much of what is over one call drops. Each call remembers one more at most.
pub(super) const MOST_DROPPED: usize = 64;

/// An idempotency key. The `request_id` is compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The caller.
    pub caller: Principal,
    /// The RPC.
    pub rpc: Rpc,
    /// The request's `request_id`, in lower case.
    pub request_id: String,
}

/// SHA-256 of a request's other arguments.
pub type Arguments = [u8; 32];

/// What the first call created, encoded, or its error.
pub type FirstResult = Result<Vec<u8>, Error>;

/// The result for a key.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The first call's.
    pub result: FirstResult,
    /// Whether that was an earlier call.
    pub replayed: bool,
}

/// Why there is no result for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyError {
    /// The key was used with other arguments.
    OtherArguments,
    /// There is no room to remember one more.
    NoRoom(Refused),
    /// The first call did not end, or its result cannot be decoded.
    Lost,
    /// The store does not answer in time, refuses, or holds what does not verify. Nothing was sent.
    Unavailable,
}

/// Keeps results for ten minutes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Acts for the first call with a key; replays its result for the others, which wait for it. An act
    /// goes on when its caller leaves.
    ///
    /// An error that certainly had no effect is not kept: the next call acts again.
    ///
    /// # Errors
    /// [`IdempotencyError`]; with [`IdempotencyError::Lost`] the first call may have acted, with the others this call has
    /// not.
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<Replay, IdempotencyError>;

    /// Whether a key holds in every replica, so that a call with one may be repeated anywhere.
    fn holds_across_replicas(&self) -> bool;

    /// The room for results.
    fn room(&self) -> &Arc<Shares>;
}

/// The first 16 bytes of SHA-256 of an idempotency key.
pub(super) type KeyDigest = [u8; 16];

impl IdempotencyKey {
    pub(super) fn digest(&self) -> KeyDigest {
        let Self { caller, rpc, request_id } = self;
        // No principal and no name of an RPC has a line break.
        let text = format!("{}\n{}\n{request_id}", caller.as_str(), rpc.name());
        let digest: [u8; 32] = Sha256::digest(text).into();
        let (halves, _) = digest.as_chunks();
        halves[0]
    }
}

/// Whether a first call's error must be kept: it may have acted.
pub(super) fn may_have_acted(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown { .. })
}
