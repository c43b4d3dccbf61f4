//! The reasons that a refusal can have.

use tonic::Code;

/// `ErrorInfo.reason`: what clients branch on. A name is never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained by its message, in `explain`")]
pub enum Reason {
    InvalidRequest,
    CallerUnknown,
    PolicyDenied,
    RegionForbidden,
    ProjectUnknown,
    TtlAboveMaximum,
    PermanentTokenForbidden,
    AccessKeyUnknown,
    RoomNotFound,
    SceneNotFound,
    ConversionNotFound,
    CallerQuotaExceeded,
    UpstreamQueueFull,
    UpstreamRateLimited,
    ConversionNotWaiting,
    UpstreamFeatureDisabled,
    UpstreamRefused,
    RoomDisabled,
    Overloaded,
    UpstreamUnreachable,
    ShuttingDown,
    WatchExpired,
    AuditUnavailable,
    ClockUnstable,
    DeadlineExceeded,
    UpstreamOutcomeUnknown,
    UpstreamCredentialsRejected,
    UpstreamUnexpectedAnswer,
    Internal,
}

impl Reason {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.on_the_wire().0
    }

    /// The name on the wire, and the code that it goes with.
    #[must_use]
    pub const fn on_the_wire(self) -> (&'static str, Code) {
        match self {
            Self::InvalidRequest => ("INVALID_REQUEST", Code::InvalidArgument),
            Self::CallerUnknown => ("CALLER_UNKNOWN", Code::Unauthenticated),
            Self::PolicyDenied => ("POLICY_DENIED", Code::PermissionDenied),
            Self::RegionForbidden => ("REGION_FORBIDDEN", Code::PermissionDenied),
            Self::ProjectUnknown => ("PROJECT_UNKNOWN", Code::PermissionDenied),
            Self::TtlAboveMaximum => ("TTL_ABOVE_MAXIMUM", Code::PermissionDenied),
            Self::PermanentTokenForbidden => ("PERMANENT_TOKEN_FORBIDDEN", Code::PermissionDenied),
            Self::AccessKeyUnknown => ("ACCESS_KEY_UNKNOWN", Code::NotFound),
            Self::RoomNotFound => ("ROOM_NOT_FOUND", Code::NotFound),
            Self::SceneNotFound => ("SCENE_NOT_FOUND", Code::NotFound),
            Self::ConversionNotFound => ("CONVERSION_NOT_FOUND", Code::NotFound),
            Self::CallerQuotaExceeded => ("CALLER_QUOTA_EXCEEDED", Code::ResourceExhausted),
            Self::UpstreamQueueFull => ("UPSTREAM_QUEUE_FULL", Code::ResourceExhausted),
            Self::UpstreamRateLimited => ("UPSTREAM_RATE_LIMITED", Code::ResourceExhausted),
            Self::ConversionNotWaiting => ("CONVERSION_NOT_WAITING", Code::FailedPrecondition),
            Self::UpstreamFeatureDisabled => ("UPSTREAM_FEATURE_DISABLED", Code::FailedPrecondition),
            Self::UpstreamRefused => ("UPSTREAM_REFUSED", Code::FailedPrecondition),
            Self::RoomDisabled => ("ROOM_DISABLED", Code::FailedPrecondition),
            Self::Overloaded => ("OVERLOADED", Code::Unavailable),
            Self::UpstreamUnreachable => ("UPSTREAM_UNREACHABLE", Code::Unavailable),
            Self::ShuttingDown => ("SHUTTING_DOWN", Code::Unavailable),
            Self::AuditUnavailable => ("AUDIT_UNAVAILABLE", Code::Unavailable),
            Self::ClockUnstable => ("CLOCK_UNSTABLE", Code::Unavailable),
            Self::WatchExpired => ("WATCH_EXPIRED", Code::Unavailable),
            Self::DeadlineExceeded => ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
            Self::UpstreamOutcomeUnknown => ("UPSTREAM_OUTCOME_UNKNOWN", Code::Aborted),
            Self::UpstreamCredentialsRejected => ("UPSTREAM_CREDENTIALS_REJECTED", Code::Internal),
            Self::UpstreamUnexpectedAnswer => ("UPSTREAM_UNEXPECTED_ANSWER", Code::Internal),
            Self::Internal => ("INTERNAL", Code::Internal),
        }
    }
}
