//! What the upstream answered, as what the caller can do about it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The vendor's error codes that say more than the status does.
mod code {
    /// Number of tasks exceeds limit.
    pub(super) const QUEUE_FULL: &str = "2010203";
    /// Task not found.
    pub(super) const TASK_NOT_FOUND: [&str; 2] = ["2010605", "2011301"];
    /// Team not found: the data center or the feature is not set up.
    pub(super) const NOT_SET_UP: &str = "2010606";
    /// A running task's priority cannot change.
    pub(super) const RUNNING: &str = "2010607";
}

/// Whether a call may have changed something upstream although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing, or the same call again would change nothing more.
    None,
    /// It may have acted, and would act again.
    Possible,
}

/// Why an upstream call gave nothing. The details are for the log alone.
#[derive(Clone, Debug)]
pub enum Error {
    /// Nothing took effect: it can be tried again.
    Unreachable {
        /// What happened.
        detail: String,
    },
    /// It may have taken effect, and must not be sent again.
    OutcomeUnknown {
        /// What happened.
        detail: String,
    },
    /// The upstream does not take our token: the keys are wrong, or the clock is.
    CredentialsRejected {
        /// What the upstream said.
        detail: String,
    },
    /// The upstream understood, and does not want to.
    Refused {
        /// What the upstream said.
        detail: String,
    },
    /// There is no such room or task in that region.
    NotFound,
    /// There is no such scene in that room.
    SceneNotFound,
    /// The room is disabled.
    RoomDisabled,
    /// The conversion does not wait any more.
    NotWaiting,
    /// The feature is off in that region.
    FeatureDisabled,
    /// Too many conversions wait already.
    QueueFull,
    /// Too many calls.
    RateLimited {
        /// How long to wait, if the upstream said so.
        retry_after: Option<Duration>,
    },
    /// The time cannot be trusted, so no token can be made: nothing was sent.
    ClockUnstable,
    /// An answer that is not what the documentation says.
    UnexpectedAnswer {
        /// Whether it may have taken effect.
        effect: Effect,
        /// What was wrong with it.
        detail: String,
    },
}

impl Error {
    /// A short name, for traces.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::CredentialsRejected { .. } => "credentials_rejected",
            Self::Refused { .. } => "refused",
            Self::NotFound => "not_found",
            Self::SceneNotFound => "scene_not_found",
            Self::RoomDisabled => "room_disabled",
            Self::NotWaiting => "not_waiting",
            Self::FeatureDisabled => "feature_disabled",
            Self::QueueFull => "queue_full",
            Self::RateLimited { .. } => "rate_limited",
            Self::ClockUnstable => "clock_unstable",
            Self::UnexpectedAnswer { .. } => "unexpected_answer",
        }
    }

    /// What to write to the log, where the fault is not the caller's.
    pub(super) fn detail(&self) -> Option<&str> {
        match self {
            Self::Unreachable { detail }
            | Self::OutcomeUnknown { detail }
            | Self::CredentialsRejected { detail }
            | Self::Refused { detail }
            | Self::UnexpectedAnswer { detail, .. } => Some(detail),
            Self::NotFound
            | Self::SceneNotFound
            | Self::RoomDisabled
            | Self::NotWaiting
            | Self::FeatureDisabled
            | Self::QueueFull
            | Self::RateLimited { .. }
            | Self::ClockUnstable => None,
        }
    }
}

/// An answer, read whole.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// No answer, or half of one.
pub(super) fn broken(error: &reqwest::Error, effect: Effect) -> Error {
    let detail = describe(error);
    if effect == Effect::None || error.is_connect() {
        Error::Unreachable { detail }
    } else {
        Error::OutcomeUnknown { detail }
    }
}

/// Turns an answer of success into what was asked for.
pub(super) fn read<T: DeserializeOwned>(received: &Received, effect: Effect) -> Result<T, Error> {
    serde_json::from_slice(&received.body).map_err(|error| {
        // serde's own message would quote the answer.
        let (status, line, column) = (received.status, error.line(), error.column());
        let detail = format!("{status}, unreadable at line {line}, column {column}");
        Error::UnexpectedAnswer { effect, detail }
    })
}

/// The longest pause that the upstream may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// `Retry-After` in seconds, at most a minute; a date is not understood.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE))
}

/// What a call names, which may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Nothing,
    /// A room or a task.
    Something,
    /// A room, and a scene in it.
    Scene,
}

/// Passes success on, and says what any other status means.
pub(super) fn check(received: Received, effect: Effect, names: Names) -> Result<Received, Error> {
    let status = received.status;
    if status.is_success() {
        return Ok(received);
    }
    let failure = serde_json::from_slice(&received.body);
    // A gateway's page says nothing of a room; an empty body is as good as a documented one.
    let is_strange = failure.is_err() && !received.body.is_empty();
    let failure = Failure(failure.unwrap_or_default());
    let detail = format!("{status}{}", failure.describe());
    Err(match (status.as_u16(), &*failure.code()) {
        (401, _) => Error::CredentialsRejected { detail },
        (400 | 403 | 404, _) if is_strange => Error::UnexpectedAnswer { effect: Effect::None, detail },
        (400..500, code::QUEUE_FULL) => Error::QueueFull,
        (400..500, code::RUNNING) => Error::NotWaiting,
        (400..500, code::NOT_SET_UP) => Error::FeatureDisabled,
        (400..500, code) if code::TASK_NOT_FOUND.contains(&code) && names != Names::Nothing => {
            Error::NotFound
        }
        (403, _) if failure.speaks_of("banned") => Error::RoomDisabled,
        (404, _) if names == Names::Scene && failure.speaks_of("scene") => Error::SceneNotFound,
        (404, _) if names != Names::Nothing => Error::NotFound,
        (404, _) => Error::UnexpectedAnswer { effect: Effect::None, detail },
        (429, _) => Error::RateLimited { retry_after: received.retry_after },
        (400 | 403, _) => Error::Refused { detail },
        (500.., _) if effect == Effect::None => Error::Unreachable { detail },
        (500.., _) => Error::OutcomeUnknown { detail },
        _ => Error::UnexpectedAnswer { effect, detail },
    })
}

/// A failure's body: `{message}` as documented, `{code, msg}`, `{error: {messages, requestId}}`, or
/// anything else, which says nothing.
struct Failure(Value);

impl Failure {
    /// The vendor's error code, which comes as a number or as a string of digits.
    fn code(&self) -> String {
        match [&self.0["code"], &self.0["error"]["code"]].into_iter().find(|code| !code.is_null()) {
            Some(Value::String(code)) => code.clone(),
            Some(code) => code.to_string(),
            None => String::new(),
        }
    }

    /// Whether the prose has this word: the only sign of some failures.
    fn speaks_of(&self, word: &str) -> bool {
        let texts = [&self.0["message"], &self.0["msg"]].into_iter();
        let messages = self.0["error"]["messages"].as_array().into_iter().flatten();
        // A gateway that repeats the path speaks of nothing.
        let is_path = |text: &str| text.contains("/v5/");
        let mut texts = texts.chain(messages).filter_map(Value::as_str);
        texts.any(|text| !is_path(text) && text.to_lowercase().contains(word))
    }

    /// What identifies the failure to the vendor's support, and nothing of its prose.
    fn describe(&self) -> String {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let plain = |text: &str| text.chars().filter(allowed).take(64).collect::<String>();
        let code = plain(&self.code());
        let id = plain(self.0["error"]["requestId"].as_str().unwrap_or_default());
        match (&*code, &*id) {
            ("", "") => String::new(),
            (code, "") => format!(", code {code}"),
            ("", id) => format!(", upstream request id {id}"),
            (code, id) => format!(", code {code}, upstream request id {id}"),
        }
    }
}

/// An error's chain without the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut text = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "could not connect".to_owned(),
        (_, true) => "timed out".to_owned(),
        _ => "the connection broke".to_owned(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_taken_in_seconds_and_never_for_long() {
        for (value, expected) in [
            ("2", Some(2)),
            ("0", Some(0)),
            ("99999999", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("-1", None),
            ("", None),
            ("1.5", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            assert_eq!(retry_after(value), expected.map(Duration::from_secs), "{value}");
        }
    }
}
