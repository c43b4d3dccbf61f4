//! Idempotency: a repeated call with the same `request_id` gets the first call's result.
//!
//! A result holds what was created, never a token. The store is a trait; the one here is in memory.

mod memory;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tonic::async_trait;

pub use self::memory::InMemory;
use crate::{methods::Rpc, principal::Principal, shares::Refused, whiteboard::Error};

/// How long a result is kept.
pub const RETENTION: Duration = Duration::from_mins(10);

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
}

/// Keeps results for ten minutes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Acts for the first call with a key; replays its result for the others, which wait for it. An act
    /// goes on when its caller leaves.
    ///
    /// An error that certainly had no effect is not kept: the next call acts again.
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<Replay, IdempotencyError>;
}

/// Whether a first call's error must be kept: it may have acted.
fn may_have_acted(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown { .. })
}
