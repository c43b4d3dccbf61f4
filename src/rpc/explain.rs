//! For every error its reason, and a message that says what to do next. Nothing of the upstream's
//! answer, of a key or of a token is in a message.

use std::{borrow::Cow, time::Duration};

use tonic_types::FieldViolation;

use super::{Error, Reason, status::Missing};
use crate::{
    issuer::Refusal,
    outcome,
    policy::{Denial, Limit, QuotaExceeded},
    whiteboard::Error as Upstream,
};

type Explained = (Reason, Cow<'static, str>);

/// What is wrong with a request id that was used before.
pub(super) const OTHER_ARGUMENTS: &str =
    "was used with other arguments in the last ten minutes; make a new one";

const CLOCK_UNSTABLE: &str =
    "this server's clock was set by more than 5 s, and nothing is signed until it is stable; try again";

pub(super) fn explain(error: &Error) -> Explained {
    let (reason, message) = match error {
        Error::Invalid(violations) => return (Reason::InvalidRequest, list(violations).into()),
        Error::CallerUnknown(unknown) => return (Reason::CallerUnknown, unknown.to_string().into()),
        Error::Refused(refusal) => return explain_refusal(refusal),
        Error::RefusedInBatch(index, refusal) => {
            let (reason, message) = explain_refusal(refusal);
            return (reason, format!("requests[{index}]: {message}").into());
        }
        Error::AuditUnavailable => (
            Reason::AuditUnavailable,
            "the audit trail cannot be written, so nothing was decided, minted or changed; try again",
        ),
        Error::OutcomeUnwritten { can_be_repeated: true } => (
            Reason::AuditUnavailable,
            "the audit trail cannot be written, so the token is withheld; what it was for exists, and the same \
             request_id finds it in this replica",
        ),
        Error::OutcomeUnwritten { can_be_repeated: false } => (
            Reason::AuditUnavailable,
            "the audit trail cannot be written, so the token is withheld; what it was for exists: look for it \
             before you ask again, and send a request_id next time",
        ),
        Error::CreatorGone => (
            Reason::AccessKeyUnknown,
            "what was asked for exists, but the access key that created it signs no more, so there is no token \
             for it",
        ),
        Error::Overloaded => {
            (Reason::Overloaded, "too many creating calls are under way in this replica; try again later")
        }
        Error::Outcome(refusal) => return explain_outcome(*refusal),
        Error::Upstream(error, missing) => explain_upstream(error, *missing),
        Error::DeadlineExceeded => {
            (Reason::DeadlineExceeded, "the call took longer than its deadline; its outcome is unknown")
        }
        Error::WatchExpired => (Reason::WatchExpired, "the watch lasted as long as one may; watch again"),
        Error::ShuttingDown => (Reason::ShuttingDown, "this server is stopping; another one takes the call"),
        Error::Internal(_) => (Reason::Internal, "something went wrong here; the log has the detail"),
    };
    (reason, message.into())
}

/// The first few in words; all of them are in the details.
fn list(violations: &[FieldViolation]) -> String {
    let described: Vec<_> =
        violations.iter().take(3).map(|v| format!("{} {}", v.field, v.description)).collect();
    let more = match violations.len().saturating_sub(described.len()) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("the request is invalid: {}{more}", described.join("; "))
}

fn explain_refusal(refusal: &Refusal) -> Explained {
    let (reason, message) = match refusal {
        Refusal::Denied(denial) => return explain_denial(*denial),
        // It is made a violation on its way here.
        Refusal::RegionRequired => (Reason::InvalidRequest, "region is required"),
        Refusal::AccessKeyUnknown => (
            Reason::AccessKeyUnknown,
            "the project has no such access key to sign with; leave it empty for the active one",
        ),
        Refusal::QuotaExceeded(exceeded) => return explain_quota(exceeded),
        Refusal::ClockUnstable(_) => (Reason::ClockUnstable, CLOCK_UNSTABLE),
    };
    (reason, message.into())
}

fn explain_denial(denial: Denial) -> Explained {
    let (reason, message) = match denial {
        Denial::ProjectUnknown => (
            Reason::ProjectUnknown,
            "there is no such project, or it is not yours; name one, or ask the operator for a default",
        ),
        Denial::PolicyDenied(missing) => {
            let message = format!("the policy does not allow this: {missing}; ask the operator for a grant");
            return (Reason::PolicyDenied, message.into());
        }
        Denial::RegionForbidden => {
            (Reason::RegionForbidden, "the policy does not allow this region; name another one")
        }
        Denial::PermanentTokenForbidden => {
            (Reason::PermanentTokenForbidden, "permanent tokens are not allowed; ask for a ttl")
        }
        Denial::TtlAboveMaximum(maximum) => return (Reason::TtlAboveMaximum, above(maximum).into()),
    };
    (reason, message.into())
}

fn explain_quota(exceeded: &QuotaExceeded) -> Explained {
    let advice = match exceeded.what {
        Limit::Burst => "ask for fewer tokens at once: waiting cannot help",
        Limit::Watches => "end another watch first",
        Limit::TokensPerSecond | Limit::UpstreamPerSecond => "try again later",
    };
    (Reason::CallerQuotaExceeded, format!("{exceeded}; {advice}").into())
}

fn above(maximum: Duration) -> String {
    format!("the ttl is above the maximum of {}; ask for less", humantime::format_duration(maximum))
}

fn explain_outcome(refusal: outcome::Refusal) -> Explained {
    let (reason, message) = match refusal {
        outcome::Refusal::OtherArguments => {
            let message = format!("the request is invalid: request_id {OTHER_ARGUMENTS}");
            return (Reason::InvalidRequest, message.into());
        }
        outcome::Refusal::Full => {
            (Reason::Overloaded, "too many request ids are remembered; try again later")
        }
        outcome::Refusal::Lost => (
            Reason::UpstreamOutcomeUnknown,
            "the first call with this request_id broke off; look before you ask again with a new one",
        ),
    };
    (reason, message.into())
}

fn explain_upstream(error: &Upstream, missing: Missing) -> (Reason, &'static str) {
    match (error, missing) {
        (Upstream::Unreachable { .. }, _) => (
            Reason::UpstreamUnreachable,
            "the whiteboard API cannot be reached, or fails; it is safe to try again",
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
        (Upstream::SceneNotFound, _) => {
            (Reason::SceneNotFound, "there is no such scene in this room; list the scenes of its directory")
        }
        (Upstream::RoomDisabled, _) => (Reason::RoomDisabled, "the room is disabled; enable it first"),
        (Upstream::NotWaiting, _) => {
            (Reason::ConversionNotWaiting, "the conversion does not wait any more; nothing was changed")
        }
        (Upstream::FeatureDisabled, _) => (
            Reason::UpstreamFeatureDisabled,
            "this feature is off in this region; the project's owner can switch it on in the vendor's console",
        ),
        (Upstream::QueueFull, _) => {
            (Reason::UpstreamQueueFull, "too many conversions are waiting in this region; try again later")
        }
        (Upstream::ClockUnstable, _) => (Reason::ClockUnstable, CLOCK_UNSTABLE),
        (Upstream::RateLimited { .. }, _) => {
            (Reason::UpstreamRateLimited, "the whiteboard API asks for fewer calls; try again later")
        }
    }
}
