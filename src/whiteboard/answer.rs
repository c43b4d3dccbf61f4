//! The upstream's responses: the requested data, or an error.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::StatusCode;
use serde_json::Value;

use super::{
    access::PathUuid,
    error::{Effect, Error},
    fault::Fault,
    fields::FromAnswer,
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
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// No answer, or half of one.
pub(super) fn broken(error: &reqwest::Error, fault: Fault, effect: Effect) -> Error {
    let what = match fault {
        Fault::Connect => "could not connect",
        Fault::Refused => "the request was refused before it was looked at",
        Fault::Garbled => "the answer is no HTTP, or has headers without an end",
        _ if error.is_timeout() => "timed out",
        _ => "the connection broke",
    };
    // The causes alone: the error itself shows the URL.
    let detail = format!("{what}{}", Causes(error));
    match (fault, effect) {
        (Fault::Garbled, effect) => unusable(effect, detail),
        (_, Effect::Possible) if !fault.is_unsent() => Error::OutcomeUnknown { detail },
        _ => Error::Unreachable { detail },
    }
}

/// Reads an answer of success. Its body decides: what was made, or why it was not, or nothing usable.
pub(super) fn read<T: FromAnswer>(received: &Received, effect: Effect) -> Result<T, Error> {
    let answer: Value = serde_json::from_slice(&received.body).unwrap_or_default();
    let body = ErrorBody(answer.clone());
    T::from_answer(answer).ok_or_else(|| {
        let detail = format!("{}{}, which cannot be read", received.status, body.describe());
        match &*body.code() {
            // A gateway's envelope has codes too, such as 0 and 200.
            code if is_vendor_s(code) => by_code(code).unwrap_or(Error::Refused { detail }),
            _ => unusable(effect, detail),
        }
    })
}

/// Whether it is one of the vendor's error codes, which have seven digits.
fn is_vendor_s(code: &str) -> bool {
    code.len() == 7 && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// An answer that says nothing of what was done.
pub(super) fn unusable(effect: Effect, detail: String) -> Error {
    match effect {
        Effect::Possible => Error::OutcomeUnknown { detail },
        Effect::None => Error::UnexpectedAnswer { detail },
    }
}

/// What the vendor's code says, where it says more than the status.
fn by_code(code: &str) -> Option<Error> {
    match code {
        code::QUEUE_FULL => Some(Error::QueueFull),
        code::RUNNING => Some(Error::NotWaiting),
        code::NOT_SET_UP => Some(Error::FeatureDisabled),
        _ => None,
    }
}

/// The longest `Retry-After` that is honoured.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// `Retry-After`, in seconds or as a date, at most a minute: RFC 9110, section 10.2.3. `now`: our own wall clock.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(date) = httpdate::parse_http_date(value) {
        return Some(date.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE));
    }
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE))
}

/// An answer about another room or conversion is dropped.
pub(super) fn check_uuid(uuid: &str, asked: PathUuid<'_>) -> Result<(), Error> {
    let detail = || "an answer about another uuid than was asked for".to_owned();
    if uuid == asked.as_str() { Ok(()) } else { Err(Error::UnexpectedAnswer { detail: detail() }) }
}

/// What identifies a failure to the vendor's support; empty if it names nothing.
pub(super) fn request_id(received: &Received) -> String {
    ErrorBody(serde_json::from_slice(&received.body).unwrap_or_default()).request_id()
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
    let code = body.code();
    let refused = (400..500).contains(&status.as_u16()).then(|| by_code(&code)).flatten();
    if let Some(refused) = refused.filter(|_| status != StatusCode::UNAUTHORIZED && !is_undocumented) {
        return Err(refused);
    }
    Err(match status.as_u16() {
        401 => Error::CredentialsRejected { detail },
        429 => Error::RateLimited { retry_after: received.retry_after },
        400 | 403 | 404 if is_undocumented => Error::UnexpectedAnswer { detail },
        400..500 if code::TASK_NOT_FOUND.contains(&&*code) && resource != Resource::Project => {
            Error::NotFound
        }
        // The project has not the feature in this region.
        400..500 if body.mentions("team not registration") => Error::FeatureDisabled,
        403 if body.mentions("banned") => Error::RoomDisabled,
        404 if resource == Resource::Scene && body.mentions("scene") => Error::SceneNotFound,
        404 if resource != Resource::Project => Error::NotFound,
        400 | 403 => Error::Refused { detail },
        400..500 => Error::UnexpectedAnswer { detail },
        500.. if effect == Effect::None => Error::Unreachable { detail },
        _ => unusable(effect, detail),
    })
}

/// An error's body: `{message}` as documented, `{code, msg}`, `{error: {title, messages, requestId}}`, or
/// anything else, which tells nothing.
struct ErrorBody(Value);

impl ErrorBody {
    /// The vendor's error code, which comes as a number or as a string of digits.
    fn code(&self) -> String {
        let error = &self.0["error"];
        let places = [&self.0["code"], &self.0["errorCode"], &error["code"], &error["errorCode"]];
        let code = |place: &Value| match place {
            Value::String(code) => Some(code.clone()),
            Value::Number(code) => Some(code.to_string()),
            _ => None,
        };
        places.into_iter().find_map(code).unwrap_or_default()
    }

    /// Whether the prose has this word: the only sign of some failures.
    fn mentions(&self, word: &str) -> bool {
        let texts = [&self.0["message"], &self.0["msg"], &self.0["error"]["title"]].into_iter();
        let messages = self.0["error"]["messages"].as_array().into_iter().flatten();
        // A gateway that repeats the path speaks of nothing.
        let is_path = |text: &str| text.contains("/v5/");
        let mut texts = texts.chain(messages).filter_map(Value::as_str);
        texts.any(|text| !is_path(text) && text.to_lowercase().contains(word))
    }

    /// What identifies the failure to the vendor's support.
    fn request_id(&self) -> String {
        let ids = [&self.0["error"]["requestId"], &self.0["requestId"]];
        plain(ids.into_iter().find_map(Value::as_str).unwrap_or_default())
    }

    /// Its code and id, and nothing of its prose.
    fn describe(&self) -> String {
        match (&*plain(&self.code()), &*self.request_id()) {
            ("", "") => String::new(),
            (code, "") => format!(", code {code}"),
            ("", id) => format!(", upstream request id {id}"),
            (code, id) => format!(", code {code}, upstream request id {id}"),
        }
    }
}

/// What of a text cannot break a log line.
fn plain(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
    text.chars().filter(allowed).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_taken_in_seconds_or_until_a_date_and_never_for_long() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("2", Some(2)),
            ("0", Some(0)),
            ("99999999", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("-1", None),
            ("", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 09:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }

    fn received(status: u16, body: &str) -> Received {
        let status = StatusCode::from_u16(status).unwrap();
        Received { status, retry_after: None, body: body.to_owned().into() }
    }

    #[test]
    fn a_failure_is_known_by_its_code_or_its_text_wherever_they_stand() {
        let name = |status, body| {
            check(received(status, body), Effect::Possible, Resource::Project).unwrap_err().name()
        };
        for (status, body, expected) in [
            (400, r#"{"code":2010606}"#, "feature_disabled"),
            (403, r#"{"errorCode":"2010606"}"#, "feature_disabled"),
            (404, r#"{"error":{"code":"2010203"}}"#, "queue_full"),
            (
                400,
                r#"{"error":{"title":"team not registration with uuid: x","messages":[]}}"#,
                "feature_disabled",
            ),
            (400, r#"{"error":{"messages":["Team not registration"]}}"#, "feature_disabled"),
            (401, r#"{"code":2010606}"#, "credentials_rejected"),
            (500, r#"{"code":2010203}"#, "outcome_unknown"),
            (302, "", "outcome_unknown"),
            (418, "", "unexpected_answer"),
        ] {
            assert_eq!(name(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_vendor_s_request_id_reaches_the_log_whole() {
        let body = received(400, r#"{"error":{"title":"x","requestId":"jMa0_B_S-wwwJw"}}"#);
        let error = check(body, Effect::None, Resource::Room).unwrap_err();
        assert_eq!(error.detail(), Some("400 Bad Request, upstream request id jMa0_B_S-wwwJw"));
    }
}
