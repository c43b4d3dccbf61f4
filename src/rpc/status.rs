//! Errors on their way out: a status with its reason, its violations, and how long to wait.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::explain::{OTHER_ARGUMENTS, explain};
use crate::{
    caller,
    issuer::Refusal,
    outcome,
    policy::Denial,
    whiteboard::{self, Effect},
};

/// `ErrorInfo.domain`.
pub const DOMAIN: &str = "inkpass";

/// How long a caller waits before it tries again, where nobody says how long.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How much of its violations a status holds, in bytes.
const LONGEST_VIOLATIONS: usize = 4 * 1024;

/// What a call can end with.
#[derive(Debug)]
pub enum Error {
    /// Who calls is not known.
    CallerUnknown(caller::Unknown),
    /// The request is wrong, in all these ways.
    Invalid(Vec<FieldViolation>),
    /// Nothing is minted.
    Refused(Refusal),
    /// Nothing of a batch is minted, because of the request at this index.
    RefusedInBatch(usize, Refusal),
    /// The call could not be written down.
    AuditUnavailable,
    /// Something was created, and the token for it could not be written down.
    OutcomeUnwritten {
        /// Whether the call has a request id, by which it finds what was created.
        can_be_repeated: bool,
    },
    /// Something was created by a key that signs no more.
    CreatorGone,
    /// Too much is under way.
    Overloaded,
    /// A request id leads to nothing.
    Outcome(outcome::Refusal),
    /// The upstream gave nothing; which reason a missing thing has depends on what was asked for.
    Upstream(whiteboard::Error, Missing),
    /// The time that the caller, or the server, gives a call is over.
    DeadlineExceeded,
    /// A watch lasted as long as one may.
    WatchExpired,
    /// The server was asked to stop.
    ShuttingDown,
    /// What cannot be; the sentence is for the log.
    Internal(&'static str),
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

    /// The grant whose quota is used up.
    pub(super) fn grant(&self) -> Option<&str> {
        match self {
            Self::Refused(Refusal::QuotaExceeded(exceeded))
            | Self::RefusedInBatch(_, Refusal::QuotaExceeded(exceeded)) => Some(&exceeded.grant),
            _ => None,
        }
    }

    fn details(&self, reason: &'static str) -> ErrorDetails {
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, self.metadata());
        match self {
            Self::Invalid(violations) => {
                details.set_bad_request(those_that_fit(violations).to_vec());
            }
            Self::Outcome(outcome::Refusal::OtherArguments) => {
                details.add_bad_request_violation("request_id", OTHER_ARGUMENTS);
            }
            Self::Refused(Refusal::QuotaExceeded(exceeded))
            | Self::RefusedInBatch(_, Refusal::QuotaExceeded(exceeded)) => {
                details.add_quota_failure_violation(
                    exceeded.what.to_string(),
                    format!("grant {} allows {} = {}", exceeded.grant, exceeded.what, exceeded.allowed),
                );
            }
            Self::Upstream(whiteboard::Error::QueueFull, _) => {
                details.add_quota_failure_violation("upstream", "conversions that wait in this region");
            }
            Self::Upstream(whiteboard::Error::RateLimited { .. }, _) => {
                details.add_quota_failure_violation("upstream", "calls of the whiteboard API");
            }
            _ => {}
        }
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        details
    }

    /// What is dynamic in a message, for programs.
    fn metadata(&self) -> HashMap<String, String> {
        let mut metadata = HashMap::new();
        if let Self::Invalid(violations) = self {
            let left_out = violations.len() - those_that_fit(violations).len();
            if left_out > 0 {
                metadata.insert("violations_left_out".to_owned(), left_out.to_string());
            }
        }
        if let Self::RefusedInBatch(index, _) = self {
            metadata.insert("request_index".to_owned(), index.to_string());
        }
        if let Self::Refused(refusal) | Self::RefusedInBatch(_, refusal) = self
            && let Refusal::Denied(denial) = refusal
        {
            if let Denial::TtlAboveMaximum(maximum) = denial {
                metadata.insert("maximum_seconds".to_owned(), maximum.as_secs().to_string());
            }
            if let Some(missing) = denial.missing() {
                metadata.insert("missing".to_owned(), missing.to_owned());
            }
        }
        if let Self::Upstream(whiteboard::Error::UnexpectedAnswer { effect: Effect::Possible, .. }, _) = self
        {
            metadata.insert("outcome".to_owned(), "unknown".to_owned());
        }
        metadata
    }

    /// `None` where waiting does not help.
    fn retry_delay(&self) -> Option<Duration> {
        match self {
            Self::Upstream(whiteboard::Error::RateLimited { retry_after }, _) => {
                Some(retry_after.unwrap_or(RETRY_DELAY))
            }
            Self::Refused(Refusal::QuotaExceeded(exceeded))
            | Self::RefusedInBatch(_, Refusal::QuotaExceeded(exceeded)) => exceeded.retry_after,
            Self::Refused(Refusal::ClockUnstable(_))
            | Self::AuditUnavailable
            | Self::OutcomeUnwritten { can_be_repeated: true }
            | Self::Overloaded
            | Self::Upstream(
                whiteboard::Error::Unreachable { .. }
                | whiteboard::Error::QueueFull
                | whiteboard::Error::ClockUnstable,
                _,
            )
            | Self::Outcome(outcome::Refusal::Full)
            | Self::WatchExpired
            | Self::ShuttingDown => Some(RETRY_DELAY),
            _ => None,
        }
    }
}

/// The first of them, as many as go into the headers that every gRPC library takes, 8 KiB with
/// everything else: a status travels as a header.
fn those_that_fit(violations: &[FieldViolation]) -> &[FieldViolation] {
    let mut length = 0;
    let count = violations.iter().take_while(|violation| {
        length += violation.field.len() + violation.description.len() + 8;
        length <= LONGEST_VIOLATIONS
    });
    &violations[..count.count()]
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::RegionRequired => {
                Self::invalid("region", "is required: the project has no default region")
            }
            refusal => Self::Refused(refusal),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Internal(detail) = error {
            tracing::error!(detail, "an internal error");
        }
        let (reason, message) = explain(&error);
        let (name, code) = reason.on_the_wire();
        let mut status = Self::with_error_details(code, message, error.details(name));
        if code == Code::Unavailable {
            let pushback = match (&error, error.retry_delay()) {
                // Never: it would create a second one.
                (Error::OutcomeUnwritten { can_be_repeated: false }, _) => "-1".to_owned(),
                (_, delay) => delay.unwrap_or(RETRY_DELAY).as_millis().to_string(),
            };
            if let Ok(value) = MetadataValue::try_from(pushback) {
                status.metadata_mut().insert("grpc-retry-pushback-ms", value);
            }
        }
        status
    }
}
