//! Errors on their way out: one enum, one `match`, one reason each.
//!
//! Nothing of the upstream's answer, of a key or of a token is in a status.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    issuer::Refusal,
    policy,
    whiteboard::{self, Effect},
};

/// `ErrorInfo.domain`.
pub const DOMAIN: &str = "inkpass";

/// How long a caller waits before it tries again, where nobody says how long.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// `ErrorInfo.reason`: what clients branch on. A name is never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained by its message, in `Error::describe`")]
pub enum Reason {
    InvalidRequest,
    ProjectUnknown,
    TtlAboveMaximum,
    PermanentTokenForbidden,
    AccessKeyUnknown,
    RoomNotFound,
    ConversionNotFound,
    UpstreamQueueFull,
    UpstreamRateLimited,
    UpstreamFeatureDisabled,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamOutcomeUnknown,
    UpstreamCredentialsRejected,
    UpstreamUnexpectedAnswer,
    DeadlineExceeded,
    Internal,
}

impl Reason {
    /// The name on the wire, and the code that it goes with.
    #[must_use]
    pub const fn on_the_wire(self) -> (&'static str, Code) {
        match self {
            Self::InvalidRequest => ("INVALID_REQUEST", Code::InvalidArgument),
            Self::ProjectUnknown => ("PROJECT_UNKNOWN", Code::PermissionDenied),
            Self::TtlAboveMaximum => ("TTL_ABOVE_MAXIMUM", Code::PermissionDenied),
            Self::PermanentTokenForbidden => ("PERMANENT_TOKEN_FORBIDDEN", Code::PermissionDenied),
            Self::AccessKeyUnknown => ("ACCESS_KEY_UNKNOWN", Code::NotFound),
            Self::RoomNotFound => ("ROOM_NOT_FOUND", Code::NotFound),
            Self::ConversionNotFound => ("CONVERSION_NOT_FOUND", Code::NotFound),
            Self::UpstreamQueueFull => ("UPSTREAM_QUEUE_FULL", Code::ResourceExhausted),
            Self::UpstreamRateLimited => ("UPSTREAM_RATE_LIMITED", Code::ResourceExhausted),
            Self::UpstreamFeatureDisabled => ("UPSTREAM_FEATURE_DISABLED", Code::FailedPrecondition),
            Self::UpstreamRefused => ("UPSTREAM_REFUSED", Code::FailedPrecondition),
            Self::UpstreamUnreachable => ("UPSTREAM_UNREACHABLE", Code::Unavailable),
            Self::UpstreamOutcomeUnknown => ("UPSTREAM_OUTCOME_UNKNOWN", Code::Aborted),
            Self::UpstreamCredentialsRejected => ("UPSTREAM_CREDENTIALS_REJECTED", Code::Internal),
            Self::UpstreamUnexpectedAnswer => ("UPSTREAM_UNEXPECTED_ANSWER", Code::Internal),
            Self::DeadlineExceeded => ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
            Self::Internal => ("INTERNAL", Code::Internal),
        }
    }
}

/// What a call can end with.
#[derive(Debug)]
pub enum Error {
    /// The request is wrong, in all these ways.
    Invalid(Vec<FieldViolation>),
    /// Nothing is minted.
    Refused(Refusal),
    /// The upstream gave nothing; which reason a missing thing has depends on what was asked for.
    Upstream(whiteboard::Error, Missing),
    /// The time that the caller, or the server, gives a call is over.
    DeadlineExceeded,
}

/// What a 404 of the upstream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A call that names nothing which could be missing.
    Nothing,
    /// The room.
    Room,
    /// The conversion.
    Conversion,
}

impl Error {
    /// One violation.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }

    /// The reason, and a message that says what to do next.
    fn describe(&self) -> (Reason, Cow<'static, str>) {
        match self {
            Self::Invalid(violations) => (Reason::InvalidRequest, describe_violations(violations).into()),
            Self::Refused(Refusal::ProjectUnknown) => (
                Reason::ProjectUnknown,
                "there is no such project, or it is not yours; name one, or ask the operator for a default"
                    .into(),
            ),
            Self::Refused(Refusal::Policy(policy::Refusal::PermanentTokenForbidden)) => {
                (Reason::PermanentTokenForbidden, "permanent tokens are not allowed; ask for a ttl".into())
            }
            Self::Refused(Refusal::Policy(policy::Refusal::TtlAboveMaximum(maximum))) => (
                Reason::TtlAboveMaximum,
                format!(
                    "the ttl is above the maximum of {}; ask for less",
                    humantime::format_duration(*maximum)
                )
                .into(),
            ),
            Self::Refused(Refusal::AccessKeyUnknown) => (
                Reason::AccessKeyUnknown,
                "the project has no such access key to sign with; leave it empty for the active one".into(),
            ),
            Self::Upstream(error, missing) => describe_upstream(error, *missing),
            Self::DeadlineExceeded => (
                Reason::DeadlineExceeded,
                "the call took longer than its deadline; its outcome is unknown".into(),
            ),
        }
    }

    fn details(&self, reason: &'static str) -> ErrorDetails {
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, self.metadata());
        if let Self::Invalid(violations) = self {
            details.set_bad_request(violations.clone());
        }
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        details
    }

    /// What is dynamic in a message, for programs.
    fn metadata(&self) -> HashMap<String, String> {
        let entry = |name: &str, value: String| HashMap::from([(name.to_owned(), value)]);
        match self {
            Self::Refused(Refusal::Policy(policy::Refusal::TtlAboveMaximum(maximum))) => {
                entry("maximum_seconds", maximum.as_secs().to_string())
            }
            Self::Upstream(whiteboard::Error::UnexpectedAnswer { effect: Effect::Possible, .. }, _) => {
                entry("outcome", "unknown".to_owned())
            }
            _ => HashMap::new(),
        }
    }

    fn retry_delay(&self) -> Option<Duration> {
        match self {
            Self::Upstream(whiteboard::Error::RateLimited { retry_after }, _) => {
                Some(retry_after.unwrap_or(RETRY_DELAY))
            }
            Self::Upstream(whiteboard::Error::Unreachable { .. } | whiteboard::Error::QueueFull, _) => {
                Some(RETRY_DELAY)
            }
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (reason, message) = error.describe();
        let (name, code) = reason.on_the_wire();
        let mut status = Self::with_error_details(code, message, error.details(name));
        if code == Code::Unavailable {
            let millis = error.retry_delay().unwrap_or(RETRY_DELAY).as_millis();
            if let Ok(value) = MetadataValue::try_from(millis.to_string()) {
                status.metadata_mut().insert("grpc-retry-pushback-ms", value);
            }
        }
        status
    }
}

fn describe_violations(violations: &[FieldViolation]) -> String {
    let described: Vec<_> = violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
    format!("the request is invalid: {}", described.join("; "))
}

fn describe_upstream(error: &whiteboard::Error, missing: Missing) -> (Reason, Cow<'static, str>) {
    use whiteboard::Error as Upstream;
    let (reason, message) = match (error, missing) {
        (Upstream::Unreachable { .. }, _) => (
            Reason::UpstreamUnreachable,
            "the whiteboard API cannot be reached; nothing was changed, try again",
        ),
        (Upstream::OutcomeUnknown { .. }, _) => (
            Reason::UpstreamOutcomeUnknown,
            "the whiteboard API gave no usable answer; it may have done what was asked, so look before you ask again",
        ),
        (Upstream::CredentialsRejected { .. }, _) => (
            Reason::UpstreamCredentialsRejected,
            "the whiteboard API does not take this service's keys; its operator must look at them",
        ),
        (Upstream::Refused { .. }, _) => (
            Reason::UpstreamRefused,
            "the whiteboard API refuses this request; check its values against the vendor's documentation",
        ),
        (Upstream::NotFound, Missing::Room) => (
            Reason::RoomNotFound,
            "there is no such room in this project and region; check both, and the uuid",
        ),
        (Upstream::NotFound, Missing::Conversion) => (
            Reason::ConversionNotFound,
            "there is no such conversion in this project and region; one can be read for seven days",
        ),
        (Upstream::NotFound, Missing::Nothing) | (Upstream::UnexpectedAnswer { .. }, _) => (
            Reason::UpstreamUnexpectedAnswer,
            "the whiteboard API gave an answer that is not what it documents; the log has the detail",
        ),
        (Upstream::FeatureDisabled, _) => (
            Reason::UpstreamFeatureDisabled,
            "this feature is off in this region; the project's owner can switch it on in the vendor's console",
        ),
        (Upstream::QueueFull, _) => {
            (Reason::UpstreamQueueFull, "too many conversions are waiting in this region; try again later")
        }
        (Upstream::RateLimited { .. }, _) => {
            (Reason::UpstreamRateLimited, "the whiteboard API asks for fewer calls; try again later")
        }
    };
    (reason, message.into())
}
