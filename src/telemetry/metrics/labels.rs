//! What labels can be: closed sets, so that no label grows.

use crate::names::names;

/// Why a connection was closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no place at all.
    Full,
    /// There is none for one that is not authenticated.
    Unauthenticated,
    /// Its address has its share.
    Peer,
}

names! { pub Refusal { Full = "full", Unauthenticated = "unauthenticated", Peer = "peer" } }

/// Why a connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It did not say what it must.
    Silent,
    /// Another one needed its place.
    MadeRoom,
    /// It was to end, and had no call.
    Idle,
    /// It was too old.
    Age,
    /// The server stopped.
    Stop,
}

names! {
    pub Cut { Silent = "silent", MadeRoom = "made_room", Idle = "idle", Age = "age", Stop = "stop" }
}

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not be accepted.
    Accept,
    /// Its TLS handshake failed.
    Tls,
    /// Its HTTP broke off.
    Http,
}

names! { pub Failure { Accept = "accept", Tls = "tls", Http = "http" } }

/// One of a quota's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Tokens a second.
    Tokens,
    /// Tokens at once.
    Burst,
    /// Upstream calls a second.
    Upstream,
    /// Watches at once.
    Watches,
}

names! { pub Quota { Tokens = "tokens", Burst = "burst", Upstream = "upstream", Watches = "watches" } }

/// How an attempt at the whiteboard API ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamStatus {
    /// Any 2xx.
    Success,
    /// Any 3xx, or below 200.
    Redirect,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 429.
    RateLimited,
    /// Any other 4xx.
    Refused,
    /// 500 or more.
    Failed,
    /// There was no answer in time.
    Timeout,
    /// There was no connection.
    Connect,
    /// The answer broke off, was too long or no HTTP.
    Broken,
}

names! {
    pub UpstreamStatus {
        Success = "2xx", Redirect = "3xx", Unauthorized = "401", Forbidden = "403", NotFound = "404", RateLimited = "429",
        Refused = "4xx", Failed = "5xx", Timeout = "timeout", Connect = "connect", Broken = "broken",
    }
}

impl UpstreamStatus {
    /// Of an answer's status.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            0..=399 => Self::Redirect,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::RateLimited,
            400..=499 => Self::Refused,
            500.. => Self::Failed,
        }
    }
}

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// Compares and swaps a value.
    Swap,
    /// Waits for a replica of the store.
    Wait,
    /// Takes from a bucket.
    Take,
}

names! { pub StoreCall { Swap = "swap", Wait = "wait", Take = "take" } }

/// Why a call of the store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// There was no connection in time.
    NotConnected,
    /// There was no answer in time.
    Timeout,
    /// The connection broke.
    Connection,
    /// It only takes reads.
    ReadOnly,
    /// Its memory is full.
    Full,
    /// It still reads what it holds.
    Loading,
    /// It has too few replicas.
    NoReplicas,
    /// Its user may not do this.
    NoPermission,
    /// It cannot write to its disk.
    NotPersisting,
    /// Any other.
    Other,
}

names! {
    pub StoreFault {
        NotConnected = "not_connected", Timeout = "timeout", Connection = "connection", ReadOnly = "read_only",
        Full = "full", Loading = "loading", NoReplicas = "no_replicas", NoPermission = "no_permission",
        NotPersisting = "not_persisting", Other = "other",
    }
}

/// What a call with a `request_id` came to at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// It claimed the id, and acted.
    Claimed,
    /// It had an earlier call's outcome.
    Replayed,
    /// The id was used with other arguments.
    OtherArguments,
    /// An earlier call's outcome is lost.
    OutcomeLost,
    /// The store did not answer.
    Unavailable,
    /// The store holds what does not verify.
    Forged,
}

names! {
    pub ClaimOutcome {
        Claimed = "claimed", Replayed = "replayed", OtherArguments = "other_arguments", OutcomeLost = "outcome_lost",
        Unavailable = "unavailable", Forged = "forged",
    }
}

/// Why a span was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanLoss {
    /// There was no room for it.
    Queue,
    /// A collector did not take it.
    Export,
}

names! { pub SpanLoss { Queue = "queue", Export = "export" } }

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// These metrics.
    Metrics,
}

names! { pub Signal { Traces = "traces", Metrics = "metrics" } }
