//! For every error its reason, its message, its details and its retry advice. No message holds anything
//! of an upstream answer, of a key or of a token.

use std::{borrow::Cow, time::Duration};

use tonic_types::FieldViolation;

use super::{Error, FoundBy, Withheld};
use crate::{
    idempotency::IdempotencyError,
    methods::Resource,
    policy::{Denial, Limit, QuotaExceeded},
    reason::Reason,
    shares::Refused,
    whiteboard::{Effect, Error as Upstream},
};

/// What a caller is told about an error.
#[derive(Debug)]
pub struct Explanation {
    /// What clients branch on. It gives the code.
    pub reason: Reason,
    /// What is wrong and what to do next, for a person.
    pub message: Cow<'static, str>,
    /// Whether to repeat the call.
    pub retry: Retry,
    /// The second detail, beside `ErrorInfo`.
    pub detail: Detail,
    /// `ErrorInfo.metadata`: the dynamic parts of the message.
    pub metadata: Vec<(&'static str, String)>,
}

/// What `RetryInfo` and `grpc-retry-pushback-ms` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Neither: the caller decides.
    Unsaid,
    /// To wait for so long. UNAVAILABLE also has the pushback.
    After(Duration),
    /// To wait for so long, and not to have a library repeat it: this server has done so itself. The pushback is -1.
    ByTheApplication(Duration),
    /// Never to repeat it: the pushback is -1. It would act a second time.
    Never,
}

/// A detail of `google.rpc`.
#[derive(Debug)]
pub enum Detail {
    /// None.
    None,
    /// `BadRequest`.
    BadRequest(Vec<FieldViolation>),
    /// `QuotaFailure`, with the limit and what it allows.
    QuotaFailure(String, String),
}

/// How long a caller waits where nothing says how long.
const DELAY: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::After(DELAY);

const CLOCK_UNSTABLE: &str =
    "this server's clock was set by more than 5 s, and nothing is signed until it is stable; try again";

/// To one who has its share, of what ends and of what is kept.
const LET_SOME_END: &str = "let some end first";
const MAKE_FEWER: &str = "each is kept for ten minutes, so make fewer of them";

/// The violation of a `request_id` that was used before.
const OTHER_ARGUMENTS: &str = "was used with other arguments in the last ten minutes; make a new one";

impl Error {
    /// Takes the error apart.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        match self {
            Self::Unauthenticated(unknown) => plain(Reason::CallerUnknown, unknown.to_string()),
            Self::Invalid(violations) => invalid(violations),
            Self::Denied(denial) => explain_denial(*denial),
            Self::AccessKeyUnknown => plain(
                Reason::AccessKeyUnknown,
                "the project has no such access key to sign with; leave it empty for the active one",
            ),
            Self::QuotaExceeded(exceeded) => explain_quota(exceeded),
            Self::ClockUnstable => retried(Reason::ClockUnstable, CLOCK_UNSTABLE, SOON),
            Self::InBatch(index, error) => {
                let mut explanation = error.explain();
                explanation.message = format!("requests[{index}]: {}", explanation.message).into();
                explanation.metadata.push(("request_index", index.to_string()));
                explanation
            }
            Self::AuditUnavailable => retried(
                Reason::AuditUnavailable,
                "the audit trail cannot be written, so nothing was decided, minted or changed; try again",
                SOON,
            ),
            Self::TokenWithheld { why, found_by } => explain_withheld(*why, *found_by),
            Self::NoShare(refused) => explain_no_share(*refused, LET_SOME_END),
            Self::Idempotency(error) => explain_idempotency(*error),
            Self::RepeatedSafely(error) => explain_repeated(error.explain()),
            Self::Upstream(error, resource) => explain_upstream(error, *resource),
            Self::DeadlineExceeded(effect) => explain_deadline(*effect),
            Self::WatchExpired => retried(Reason::WatchExpired, "the watch expired; watch again", SOON),
            Self::ShuttingDown => {
                retried(Reason::ShuttingDown, "this server is stopping; another one takes the call", SOON)
            }
            Self::Internal(_) => {
                retried(Reason::Internal, "something went wrong here; the log has the detail", Retry::Never)
            }
        }
    }
}

fn plain(reason: Reason, message: impl Into<Cow<'static, str>>) -> Explanation {
    retried(reason, message, Retry::Unsaid)
}

fn retried(reason: Reason, message: impl Into<Cow<'static, str>>, retry: Retry) -> Explanation {
    Explanation { reason, message: message.into(), retry, detail: Detail::None, metadata: Vec::new() }
}

/// The first few violations in words; the details have all of them.
fn invalid(violations: &[FieldViolation]) -> Explanation {
    // What is wrong with a message as a whole names no field.
    let describe = |v: &FieldViolation| format!("{} {}", v.field, v.description).trim_start().to_owned();
    let described: Vec<_> = violations.iter().take(3).map(describe).collect();
    let more = match violations.len().saturating_sub(described.len()) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!("the request is invalid: {}{more}", described.join("; "));
    let detail = Detail::BadRequest(violations.to_vec());
    Explanation { detail, ..plain(Reason::InvalidRequest, message) }
}

fn explain_denial(denial: Denial) -> Explanation {
    match denial {
        Denial::ProjectUnknown => plain(
            Reason::ProjectUnknown,
            "there is no such project, or it is not yours; name one, or ask the operator for a default",
        ),
        Denial::PolicyDenied(missing) => {
            let message = format!("the policy does not allow this: {missing}; ask the operator for a grant");
            let missing = denial.missing().map(|missing| ("missing", missing.to_owned()));
            let metadata = missing.into_iter().collect();
            Explanation { metadata, ..plain(Reason::PolicyDenied, message) }
        }
        Denial::RegionForbidden => {
            plain(Reason::RegionForbidden, "the policy does not allow this region; name another one")
        }
        Denial::PermanentTokenForbidden => {
            plain(Reason::PermanentTokenForbidden, "permanent tokens are not allowed; ask for a ttl")
        }
        Denial::TtlAboveMaximum(maximum) => {
            let readable = humantime::format_duration(maximum);
            let message = format!("the ttl is above the maximum of {readable}; ask for less");
            let metadata = vec![("maximum_seconds", maximum.as_secs().to_string())];
            Explanation { metadata, ..plain(Reason::TtlAboveMaximum, message) }
        }
    }
}

fn explain_quota(exceeded: &QuotaExceeded) -> Explanation {
    let QuotaExceeded { grant, what, allowed, retry_after } = exceeded;
    let advice = match what {
        Limit::Burst => "ask for fewer tokens at once: waiting cannot help",
        Limit::Watches => "end another watch first",
        Limit::TokensPerSecond | Limit::UpstreamPerSecond => "try again later",
    };
    let retry = retry_after.map_or(Retry::Unsaid, Retry::After);
    let detail = Detail::QuotaFailure(what.to_string(), format!("grant {grant} allows {what} = {allowed}"));
    Explanation { detail, ..retried(Reason::CallerQuotaExceeded, format!("{exceeded}; {advice}"), retry) }
}

/// Nothing was sent, and nothing is done. `advice`: to one who has its share.
fn explain_no_share(refused: Refused, advice: &str) -> Explanation {
    let reason = Reason::from(refused);
    match refused {
        Refused::OwnShare { what } => Explanation {
            detail: Detail::QuotaFailure(what.to_owned(), format!("the caller's share of {what}")),
            ..retried(reason, format!("{refused}; {advice}"), SOON)
        },
        Refused::AllTaken { .. } => {
            retried(reason, format!("{refused} in this replica; try again later"), SOON)
        }
    }
}

/// What may have acted must not be repeated.
fn explain_deadline(effect: Effect) -> Explanation {
    let late = |message, retry| retried(Reason::DeadlineExceeded, message, retry);
    match effect {
        Effect::None => late("the call took longer than its deadline", Retry::Unsaid),
        Effect::Possible => Explanation {
            metadata: vec![("outcome", "unknown".to_owned())],
            ..late(
                "the call took longer than its deadline; it may still do what was asked, so look before you ask again",
                Retry::Never,
            )
        },
    }
}

/// The call may be repeated whatever it did.
fn explain_repeated(explanation: Explanation) -> Explanation {
    if explanation.retry != Retry::Never {
        return explanation;
    }
    let message = format!("{}; with the same request_id nothing is done a second time", explanation.message);
    Explanation { message: message.into(), retry: Retry::Unsaid, ..explanation }
}

/// What was created must not be created again, by a repeated call that reaches a replica which does not know of it.
fn explain_withheld(why: Withheld, found_by: FoundBy) -> Explanation {
    let (reason, cause) = match why {
        Withheld::AuditUnavailable => (Reason::AuditUnavailable, "the audit trail cannot be written"),
        Withheld::ClockUnstable => (Reason::ClockUnstable, "this server's clock was set by more than 5 s"),
        Withheld::KeyGone => {
            let message = "what was asked for exists, but the access key that created it signs no more, so there \
                           is no token for it";
            let retry = if found_by == FoundBy::RequestIdAnywhere { Retry::Unsaid } else { Retry::Never };
            return retried(Reason::AccessKeyUnknown, message, retry);
        }
    };
    let (advice, retry) = match found_by {
        FoundBy::RequestIdAnywhere => ("what it was for exists, and the same request_id finds it", SOON),
        FoundBy::RequestIdHere => {
            ("what it was for exists, and the same request_id finds it in this replica alone", Retry::Never)
        }
        FoundBy::Nothing => (
            "what it was for exists: look for it before you ask again, and send a request_id next time",
            Retry::Never,
        ),
    };
    retried(reason, format!("{cause}, so the token is withheld; {advice}"), retry)
}

fn explain_idempotency(error: IdempotencyError) -> Explanation {
    match error {
        IdempotencyError::OtherArguments => invalid(&[FieldViolation::new("request_id", OTHER_ARGUMENTS)]),
        IdempotencyError::NoRoom(refused) => explain_no_share(refused, MAKE_FEWER),
        IdempotencyError::Lost => retried(
            Reason::UpstreamOutcomeUnknown,
            "the first call with this request_id broke off; look before you ask again with a new one",
            Retry::Never,
        ),
        IdempotencyError::Unavailable => retried(
            Reason::StoreUnavailable,
            "the store that keeps request_ids does not answer, so nothing was sent; try again with the same request_id",
            SOON,
        ),
    }
}

/// The reason is the error's own, so that the log and the caller are told the same.
fn explain_upstream(error: &Upstream, resource: Resource) -> Explanation {
    let reason = error.reason(resource);
    let plain = |message| plain(reason, message);
    let retried = |message, retry| retried(reason, message, retry);
    let unreachable = |delay| {
        retried(
            "the whiteboard API cannot be reached, or fails; it is safe to try again",
            Retry::ByTheApplication(delay),
        )
    };
    match error {
        Upstream::Unreachable { .. } => unreachable(DELAY),
        Upstream::Paused { retry_after, .. } => unreachable(*retry_after),
        Upstream::CircuitOpen { retry_after } => retried(
            "the whiteboard API has failed often, so nothing is sent to it for a moment; try again later",
            Retry::ByTheApplication(*retry_after),
        ),
        Upstream::OutcomeUnknown { .. } => retried(
            "the whiteboard API gave no usable answer; it may have done what was asked, so look before you ask again",
            Retry::Never,
        ),
        Upstream::CredentialsRejected { .. } => {
            plain("the whiteboard API does not take this service's keys; its operator must look at them")
        }
        Upstream::Refused { .. } => plain(
            "the whiteboard API refuses this request; check its values against the vendor's documentation",
        ),
        Upstream::NotFound => plain(missing(resource)),
        Upstream::SceneNotFound => {
            plain("there is no such scene in this room; list the scenes of its directory")
        }
        Upstream::RoomDisabled => plain("the room is disabled; enable it first"),
        Upstream::NotWaiting => plain("the conversion does not wait any more; nothing was changed"),
        Upstream::FeatureDisabled => plain(
            "this feature is off in this region; the project's owner can switch it on in the vendor's console",
        ),
        Upstream::QueueFull => Explanation {
            detail: upstream_quota("conversions that wait in this region"),
            ..retried("too many conversions are waiting in this region; try again later", SOON)
        },
        Upstream::RateLimited { retry_after } => Explanation {
            detail: upstream_quota("calls of the whiteboard API"),
            ..retried(
                "the whiteboard API asks for fewer calls; try again later",
                Retry::After(retry_after.unwrap_or(DELAY)),
            )
        },
        Upstream::ClockUnstable => retried(CLOCK_UNSTABLE, SOON),
        Upstream::NoShare(refused) => explain_no_share(*refused, LET_SOME_END),
        Upstream::TooLate => explain_deadline(Effect::None),
        Upstream::UnexpectedAnswer { .. } => plain(UNEXPECTED_ANSWER),
    }
}

const UNEXPECTED_ANSWER: &str =
    "the whiteboard API gave an answer that is not what it documents; the log has the detail";

/// What a 404 means.
const fn missing(resource: Resource) -> &'static str {
    match resource {
        Resource::Room | Resource::Scene => {
            "there is no such room in this project and region; check both, and the uuid"
        }
        Resource::Conversion => {
            "there is no such conversion in this project and region; one can be read for seven days"
        }
        Resource::Project => UNEXPECTED_ANSWER,
    }
}

fn upstream_quota(what: &str) -> Detail {
    Detail::QuotaFailure("upstream".to_owned(), what.to_owned())
}
