//! The reasons, one row each: what clients branch on, and what docs/errors.md says of it.

use tonic::Code;

use crate::shares::Refused;

/// What is said of a reason.
#[derive(Clone, Copy, Debug)]
pub struct ReasonRow {
    /// `ErrorInfo.reason`. A name on the wire is never changed.
    pub name: &'static str,
    /// The gRPC code that it goes with.
    pub code: Code,
    /// Whether and where the call may be sent again.
    pub repeat: RepeatAdvice,
    /// Who can do something about it.
    pub actor: Actor,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// What to do, in a sentence or two.
    pub advice: &'static str,
}

/// Whether the same call may be sent again, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatAdvice {
    /// Not as it is: it would end the same way.
    No,
    /// After the delay in `RetryInfo`, to any replica.
    Anywhere,
    /// The same, but not by a gRPC library: this server has repeated it where that is safe, or holds all such calls back.
    ByTheApplication,
    /// As [`Self::Anywhere`], except after a call that took effect: then the pushback is -1.
    UnlessItActed,
    /// After the delay in `RetryInfo`. The limit may be the same in another replica.
    Later,
    /// Only after a look at what the first call did: it may have taken effect.
    AfterALook,
}

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The caller's developer.
    Caller,
    /// The operator of inkpass.
    Operator,
    /// The owner of the project in the vendor's console.
    ProjectOwner,
    /// Nobody needs to: it passes.
    Nobody,
}

macro_rules! reasons {
    ($($reason:ident = $name:literal, $code:ident, $repeat:ident, $actor:ident, $meaning:literal, $advice:literal;)*) => {
        /// Why a call is refused or has failed: what clients branch on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $reason,)*
        }

        impl Reason {
            /// All reasons, in the order of docs/errors.md.
            pub const ALL: &[Self] = &[$(Self::$reason,)*];

            /// What is said of it.
            #[must_use]
            pub const fn row(self) -> ReasonRow {
                match self {
                    $(Self::$reason => ReasonRow {
                        name: $name,
                        code: Code::$code,
                        repeat: RepeatAdvice::$repeat,
                        actor: Actor::$actor,
                        meaning: $meaning,
                        advice: $advice,
                    },)*
                }
            }

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                self.row().name
            }
        }
    };
}

reasons! {
    InvalidRequest = "INVALID_REQUEST", InvalidArgument, No, Caller,
        "The request is invalid. `BadRequest` has every violation at once, each with its field.",
        "Correct the named fields.";
    CallerUnknown = "CALLER_UNKNOWN", Unauthenticated, No, Caller,
        "The call presents no valid credential. The answer is the same for every cause.",
        "Present one valid JWT, API key or client certificate. The operator sees the cause in `inkpass_callers_unknown_total`.";
    PolicyDenied = "POLICY_DENIED", PermissionDenied, No, Operator,
        "No grant allows this RPC, kind of token or role. `metadata.missing` says which of them.",
        "Ask for a grant, or ask for less.";
    RegionForbidden = "REGION_FORBIDDEN", PermissionDenied, No, Operator,
        "No grant that allows the call has this region.",
        "Name another region, or ask for a grant.";
    TtlAboveMaximum = "TTL_ABOVE_MAXIMUM", PermissionDenied, No, Caller,
        "The ttl is above the maximum in `metadata.maximum_seconds`. It is never shortened silently.",
        "Ask for a shorter ttl.";
    PermanentTokenForbidden = "PERMANENT_TOKEN_FORBIDDEN", PermissionDenied, No, Caller,
        "No grant that allows the call allows permanent tokens.",
        "Ask for a ttl.";
    ProjectUnknown = "PROJECT_UNKNOWN", PermissionDenied, No, Caller,
        "There is no such project, or the caller has no grant for it. The answer is the same for both.",
        "Name a project that you have a grant for.";
    RoomNotFound = "ROOM_NOT_FOUND", NotFound, No, Caller,
        "There is no such room in this project and region.",
        "Check the uuid, the project and the region that the room was created in.";
    SceneNotFound = "SCENE_NOT_FOUND", NotFound, No, Caller,
        "The room has no such scene.",
        "List the scenes of the directory.";
    ConversionNotFound = "CONVERSION_NOT_FOUND", NotFound, No, Caller,
        "There is no such conversion in this project and region. A conversion can be read for seven days.",
        "Check the uuid, the project and the region, or start it again.";
    AccessKeyUnknown = "ACCESS_KEY_UNKNOWN", NotFound, No, Caller,
        "The named access key is unknown, another project's, or verifies only. After a create: what was asked for exists, but the key that created it signs no more, so there is no token.",
        "Name the key that created the room or task, or leave it empty for the active one. After a create, look for what it created, and do not repeat it.";
    CallerQuotaExceeded = "CALLER_QUOTA_EXCEEDED", ResourceExhausted, Later, Caller,
        "The caller's own quota is used up, or its share of what a replica has. `QuotaFailure` names the limit, or the thing.",
        "Wait as `RetryInfo` says, and let calls of your own end. Without it waiting cannot help: ask for fewer tokens at once.";
    UpstreamQueueFull = "UPSTREAM_QUEUE_FULL", ResourceExhausted, Later, Nobody,
        "Too many conversions wait in this region of the project.",
        "Start the conversion later.";
    UpstreamRateLimited = "UPSTREAM_RATE_LIMITED", ResourceExhausted, Later, Nobody,
        "The whiteboard API asks for fewer calls.",
        "Wait as `RetryInfo` says.";
    ConversionNotWaiting = "CONVERSION_NOT_WAITING", FailedPrecondition, No, Nobody,
        "The conversion has ended or runs already. Nothing was changed.",
        "Read the conversion.";
    UpstreamFeatureDisabled = "UPSTREAM_FEATURE_DISABLED", FailedPrecondition, No, ProjectOwner,
        "The feature is off in this region of the project.",
        "Switch the feature on in the vendor's console, or name a region where it is on.";
    UpstreamRefused = "UPSTREAM_REFUSED", FailedPrecondition, No, Caller,
        "The whiteboard API refuses the request.",
        "Check the values against the vendor's documentation. The log has the vendor's code and request id.";
    RoomDisabled = "ROOM_DISABLED", FailedPrecondition, No, Caller,
        "The room is disabled.",
        "Enable the room first.";
    Overloaded = "OVERLOADED", Unavailable, Anywhere, Operator,
        "This replica has as many calls of this kind under way as it takes. Nothing was sent.",
        "Wait as `RetryInfo` says. If it lasts, add replicas or look for a slow upstream.";
    UpstreamUnreachable = "UPSTREAM_UNREACHABLE", Unavailable, ByTheApplication, Nobody,
        "The whiteboard API cannot be reached, or fails. Nothing was created, and the same call again changes nothing more.",
        "Wait as `RetryInfo` says. `grpc-retry-pushback-ms` is -1, because inkpass has repeated the call itself.";
    UpstreamCircuitOpen = "UPSTREAM_CIRCUIT_OPEN", Unavailable, ByTheApplication, Nobody,
        "The whiteboard API has failed often of late, so that nothing is sent to it but one call at a time that tries. Nothing was done.",
        "Wait as `RetryInfo` says. `grpc-retry-pushback-ms` is -1, because inkpass tries by itself.";
    ShuttingDown = "SHUTTING_DOWN", Unavailable, Anywhere, Nobody,
        "This replica is stopping.",
        "Send the call to another replica.";
    WatchExpired = "WATCH_EXPIRED", Unavailable, Anywhere, Nobody,
        "The watch lasted as long as one may, or the key that it was read with was replaced.",
        "Watch again.";
    AuditUnavailable = "AUDIT_UNAVAILABLE", Unavailable, UnlessItActed, Operator,
        "The audit line cannot be written, so nothing is minted or changed. After a create that took effect the token alone is withheld; the message says so.",
        "Repeat the call. Where `grpc-retry-pushback-ms` is -1 a create took effect: look for what was created first. The same `request_id` finds it in the same replica, or anywhere with a store. The operator looks after the audit output.";
    ClockUnstable = "CLOCK_UNSTABLE", Unavailable, UnlessItActed, Operator,
        "The wall clock was stepped by more than 5 s, and nothing is signed until it was stable for 10 s.",
        "Repeat the call. Where `grpc-retry-pushback-ms` is -1 a create took effect: look for what was created first. The same `request_id` finds it in the same replica, or anywhere with a store. The operator looks after time synchronisation.";
    StoreUnavailable = "STORE_UNAVAILABLE", Unavailable, Anywhere, Operator,
        "The store that replicas share does not answer in time, refuses, or holds what does not verify. Nothing was sent. Calls without a `request_id` are served.",
        "Repeat the call as `RetryInfo` says, with the same `request_id`. The operator looks after the store; the log has the cause.";
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded, AfterALook, Caller,
        "The call took longer than its deadline, or than the server's 20 s. `metadata.outcome` is `unknown` where a POST may have been sent; it is not stopped then.",
        "A read may be repeated. With an unknown outcome look at what it did: `grpc-retry-pushback-ms` is -1 then. With a store a call with a `request_id` may be repeated, and has no pushback.";
    UpstreamOutcomeUnknown = "UPSTREAM_OUTCOME_UNKNOWN", Aborted, AfterALook, Caller,
        "A POST may have taken effect: the whiteboard API gave no usable answer. It is never sent twice.",
        "Look for what it would have created before you ask again. A repeated call with the same `request_id` is told the same.";
    UpstreamCredentialsRejected = "UPSTREAM_CREDENTIALS_REJECTED", Internal, No, Operator,
        "The whiteboard API does not accept this service's keys.",
        "Check the project's keys and the clock.";
    UpstreamUnexpectedAnswer = "UPSTREAM_UNEXPECTED_ANSWER", Internal, No, Operator,
        "The whiteboard API gave an answer that is not what it documents. Nothing was created.",
        "The log has the detail.";
    Internal = "INTERNAL", Internal, No, Operator,
        "Something went wrong here.",
        "Report it with the request id. The log has the detail.";
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::OwnShare { .. } => Self::CallerQuotaExceeded,
            Refused::AllTaken { .. } => Self::Overloaded,
        }
    }
}
