//! The upstream's responses: the requested data, or an error.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    access::PathUuid,
    error::{Effect, Error},
};
use crate::{error_chain::Causes, methods::Resource};

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

/// An answer, read whole.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// No answer, or half of one.
pub(super) fn broken(error: &reqwest::Error, effect: Effect) -> Error {
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "could not connect",
        (_, true) => "timed out",
        _ => "the connection broke",
    };
    // The causes alone: the error itself shows the URL.
    let detail = format!("{what}{}", Causes(error));
    if effect == Effect::None || error.is_connect() {
        Error::Unreachable { detail }
    } else {
        Error::OutcomeUnknown { detail }
    }
}

/// Decodes a successful response.
pub(super) fn read<T: DeserializeOwned>(received: &Received, effect: Effect) -> Result<T, Error> {
    serde_json::from_slice(&received.body).map_err(|error| {
        // serde's own message would quote the answer.
        let (status, line, column) = (received.status, error.line(), error.column());
        let detail = format!("{status}, unreadable at line {line}, column {column}");
        Error::UnexpectedAnswer { effect, detail }
    })
}

/// The longest `Retry-After` that is honoured.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// `Retry-After` in seconds, at most a minute; a date is not understood.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE))
}

/// An answer about another room or conversion is dropped.
pub(super) fn check_uuid(uuid: &str, asked: PathUuid<'_>) -> Result<(), Error> {
    if uuid == asked.as_str() {
        return Ok(());
    }
    let detail = "an answer about another uuid than was asked for".to_owned();
    tracing::warn!(upstream.detail = detail, "an upstream call failed");
    Err(Error::UnexpectedAnswer { effect: Effect::None, detail })
}

/// Passes success on, and maps any other status to an error. `resource` is what may be missing.
pub(super) fn check(received: Received, effect: Effect, resource: Resource) -> Result<Received, Error> {
    let status = received.status;
    if status.is_success() {
        return Ok(received);
    }
    let body = serde_json::from_slice(&received.body);
    // A gateway's page is no evidence of a missing room; an empty body counts as a documented one.
    let is_undocumented = body.is_err() && !received.body.is_empty();
    let body = ErrorBody(body.unwrap_or_default());
    let detail = format!("{status}{}", body.describe());
    Err(match (status.as_u16(), &*body.code()) {
        (401, _) => Error::CredentialsRejected { detail },
        (400 | 403 | 404, _) if is_undocumented => Error::UnexpectedAnswer { effect: Effect::None, detail },
        (400..500, code::QUEUE_FULL) => Error::QueueFull,
        (400..500, code::RUNNING) => Error::NotWaiting,
        (400..500, code::NOT_SET_UP) => Error::FeatureDisabled,
        (400..500, code) if code::TASK_NOT_FOUND.contains(&code) && resource != Resource::Project => {
            Error::NotFound
        }
        (403, _) if body.mentions("banned") => Error::RoomDisabled,
        (404, _) if resource == Resource::Scene && body.mentions("scene") => Error::SceneNotFound,
        (404, _) if resource != Resource::Project => Error::NotFound,
        (404, _) => Error::UnexpectedAnswer { effect: Effect::None, detail },
        (429, _) => Error::RateLimited { retry_after: received.retry_after },
        (400 | 403, _) => Error::Refused { detail },
        (500.., _) if effect == Effect::None => Error::Unreachable { detail },
        (500.., _) => Error::OutcomeUnknown { detail },
        _ => Error::UnexpectedAnswer { effect, detail },
    })
}

/// An error's body: `{message}` as documented, `{code, msg}`, `{error: {messages, requestId}}`, or
/// anything else, which tells nothing.
struct ErrorBody(Value);

impl ErrorBody {
    /// The vendor's error code, which comes as a number or as a string of digits.
    fn code(&self) -> String {
        match [&self.0["code"], &self.0["error"]["code"]].into_iter().find(|code| !code.is_null()) {
            Some(Value::String(code)) => code.clone(),
            Some(code) => code.to_string(),
            None => String::new(),
        }
    }

    /// Whether the prose has this word: the only sign of some failures.
    fn mentions(&self, word: &str) -> bool {
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
