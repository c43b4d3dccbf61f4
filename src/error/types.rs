//! Every way in which a call can end other than well.

use tonic_types::FieldViolation;

use crate::{
    caller, idempotency,
    methods::{Resource, Rpc},
    policy::{Denial, QuotaExceeded},
    shares::Refused,
    stability::Unstable,
    whiteboard::{self, Effect},
};

/// Why a call is refused or has failed.
#[derive(Debug)]
pub enum Error {
    /// The caller presents no valid credential.
    Unauthenticated(caller::Unknown),
    /// The request is invalid, in all these ways.
    Invalid(Vec<FieldViolation>),
    /// The policy denies it.
    Denied(Denial),
    /// The named access key is not the project's, or may not sign.
    AccessKeyUnknown,
    /// The caller's quota is used up.
    QuotaExceeded(QuotaExceeded),
    /// The wall clock was stepped, so nothing is signed.
    ClockUnstable,
    /// Nothing of a batch is minted, because of the request at this index.
    InBatch(usize, Box<Error>),
    /// The call's audit line cannot be written.
    AuditUnavailable,
    /// Something was created, and the token for it is withheld.
    TokenWithheld {
        /// Why.
        why: Withheld,
        /// How a repeated call finds what was created.
        found_by: FoundBy,
    },
    /// There is no place for the call in this replica, or none for one more of its caller.
    NoShare(Refused),
    /// The idempotency key gives no result.
    Idempotency(idempotency::IdempotencyError),
    /// A creating call failed whose `request_id` holds in every replica: whatever it did, to repeat it does nothing more.
    RepeatedSafely(Box<Error>),
    /// The upstream call failed. The resource says what a 404 means.
    Upstream(whiteboard::Error, Resource),
    /// The call took longer than its caller, or the server, allows. It may have acted all the same.
    DeadlineExceeded(Effect),
    /// A watch lasted as long as one may.
    WatchExpired,
    /// The server was asked to stop.
    ShuttingDown,
    /// A bug of ours, in a call that may have acted. The sentence is for the log.
    Internal(&'static str),
}

/// Why the token for something that was created is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Its audit line cannot be written.
    AuditUnavailable,
    /// The wall clock was stepped in the meantime.
    ClockUnstable,
    /// The access key that created it signs no more.
    KeyGone,
}

/// How a repeated call finds what the first one created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// It does not: the call has no `request_id`.
    Nothing,
    /// By its `request_id`, in the same replica.
    RequestIdHere,
    /// By its `request_id`, in every replica.
    RequestIdAnywhere,
}

impl Error {
    /// One violation. `field`: its path in proto names.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }

    /// The same, of a call whose `request_id` holds in every replica.
    #[must_use]
    pub fn repeated_safely(self) -> Self {
        Self::RepeatedSafely(Box::new(self))
    }

    /// A failed upstream call of this RPC, whose row says what a 404 means.
    pub fn upstream(rpc: Rpc) -> impl Fn(whiteboard::Error) -> Self {
        move |error| Self::Upstream(error, rpc.row().resource)
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<QuotaExceeded> for Error {
    fn from(exceeded: QuotaExceeded) -> Self {
        Self::QuotaExceeded(exceeded)
    }
}

impl From<Unstable> for Error {
    fn from(_: Unstable) -> Self {
        Self::ClockUnstable
    }
}
