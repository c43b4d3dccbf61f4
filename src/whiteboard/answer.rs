//! The upstream's responses: the requested data, or an error.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    error::{Effect, Error},
    fault::Fault,
    fields::FromAnswer,
    lenient,
    unread::{Unread, UnreadLog},
};
use crate::{
    error_chain::Causes,
    methods::{Resource, Rpc},
};

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

/// What an answer is read with.
pub(super) struct Reading<'a> {
    /// The RPC that asked: what it may have done follows from its row.
    pub(super) rpc: Rpc,
    /// What may be missing.
    pub(super) resource: Resource,
    pub(super) unread: &'a UnreadLog,
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
pub(super) fn read<T: FromAnswer>(received: &Received, reading: &Reading<'_>) -> Result<T, Error> {
    let text = lenient::text(&received.body);
    let mut unread = Unread::default();
    let read = T::from_answer(&text, &mut unread);
    reading.unread.log(reading.rpc, unread);
    read.ok_or_else(|| {
        let body = ErrorBody::of(&text);
        let detail = format!("{}{}, which cannot be read", received.status, body.describe());
        body.refusal(reading.resource).unwrap_or_else(|| body.unknown(reading, detail))
    })
}

/// Reads an answer to what is done by success alone, so that an empty one will do. Its body may still refuse.
pub(super) fn done<T: FromAnswer + Default>(received: &Received, reading: &Reading<'_>) -> Result<T, Error> {
    if received.body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    let body = ErrorBody::of(&lenient::text(&received.body));
    if body.is_error() {
        let detail = format!("{}{}, which is an error's", received.status, body.describe());
        return Err(body.refusal(reading.resource).unwrap_or_else(|| body.unknown(reading, detail)));
    }
    read(received, reading)
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
fn by_code(code: &str, resource: Resource) -> Option<Error> {
    match code {
        code::QUEUE_FULL => Some(Error::QueueFull),
        code::RUNNING => Some(Error::NotWaiting),
        code::NOT_SET_UP => Some(Error::FeatureDisabled),
        _ if code::TASK_NOT_FOUND.contains(&code) && resource != Resource::Project => Some(Error::NotFound),
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
pub(super) fn check_uuid(uuid: &str, asked: &str) -> Result<(), Error> {
    let detail = || "an answer about another uuid than was asked for".to_owned();
    if uuid == asked { Ok(()) } else { Err(Error::UnexpectedAnswer { detail: detail() }) }
}

/// What identifies a failure to the vendor's support; empty if it names nothing.
pub(super) fn request_id(received: &Received) -> String {
    ErrorBody::of(&lenient::text(&received.body)).request_id()
}

/// Passes success on, and maps any other status to an error. `resource` is what may be missing.
pub(super) fn check(received: Received, effect: Effect, resource: Resource) -> Result<Received, Error> {
    let status = received.status;
    if status.is_success() {
        return Ok(received);
    }
    let body = ErrorBody::of(&lenient::text(&received.body));
    // A gateway's page is no evidence of a missing room; an empty body counts as a documented one.
    let is_undocumented = body.0.is_none() && !received.body.is_empty();
    let detail = format!("{status}{}", body.describe());
    Err(match status.as_u16() {
        401 => Error::CredentialsRejected { detail },
        429 => Error::RateLimited { retry_after: received.retry_after },
        400 | 403 | 404 if is_undocumented => Error::UnexpectedAnswer { detail },
        400..500 => {
            let by_status = match status.as_u16() {
                404 if resource == Resource::Scene && body.mentions("scene") => Error::SceneNotFound,
                404 if resource != Resource::Project => Error::NotFound,
                400 | 403 => Error::Refused { detail },
                _ => Error::UnexpectedAnswer { detail },
            };
            body.refusal(resource).unwrap_or(by_status)
        }
        500.. if effect == Effect::None => Error::Unreachable { detail },
        _ => unusable(effect, detail),
    })
}

/// An error's body: `{message}` as documented, `{code, msg}`, `{error: {title, messages, requestId}}`, or
/// anything else, which tells nothing. `None`: it is no JSON.
struct ErrorBody(Option<Value>);

impl ErrorBody {
    fn of(text: &str) -> Self {
        Self(lenient::value(text))
    }

    /// What stands at this place, by its names from the outside.
    fn at(&self, place: &[&str]) -> Option<&Value> {
        place.iter().try_fold(self.0.as_ref()?, |value, name| value.get(name))
    }

    /// The error codes, wherever they stand. Each comes as a number or as a string of digits.
    fn codes(&self) -> impl Iterator<Item = String> {
        let places: [&[&str]; 5] =
            [&["code"], &["errorCode"], &["error", "code"], &["error", "errorCode"], &["error"]];
        places.into_iter().filter_map(|place| match self.at(place)? {
            Value::String(code) => Some(code.clone()),
            Value::Number(code) => Some(code.to_string()),
            _ => None,
        })
    }

    /// The vendor's own code. A gateway's envelope has codes too, such as 0 and 200.
    fn vendor_s_code(&self) -> Option<String> {
        self.codes().find(|code| is_vendor_s(code))
    }

    /// Whether a body of success is an error all the same.
    fn is_error(&self) -> bool {
        let error = self.at(&["error"]);
        let says_nothing = |error: &Value| {
            let nothing = [Value::Null, false.into(), 0.into(), "".into(), json!([]), json!({})];
            nothing.contains(error)
        };
        self.vendor_s_code().is_some() || error.is_some_and(|error| !says_nothing(error))
    }

    /// Why it refuses, where it says more than the status: by a code, or by its prose.
    fn refusal(&self, resource: Resource) -> Option<Error> {
        if let Some(refused) = self.codes().find_map(|code| by_code(&code, resource)) {
            return Some(refused);
        }
        // The project has not the feature in this region.
        if self.mentions("team not registration") {
            return Some(Error::FeatureDisabled);
        }
        self.mentions("banned").then_some(Error::RoomDisabled)
    }

    /// What is left of an answer of success whose body is none: a code refuses, though it be an unknown one.
    fn unknown(&self, reading: &Reading<'_>, detail: String) -> Error {
        match self.vendor_s_code() {
            Some(_) => Error::Refused { detail },
            None => unusable(Effect::of(reading.rpc), detail),
        }
    }

    /// Whether a word of the prose begins so: the only sign of some failures.
    fn mentions(&self, word: &str) -> bool {
        let places: [&[&str]; 7] = [
            &["message"],
            &["msg"],
            &["errorMessage"],
            &["error"],
            &["error", "title"],
            &["error", "message"],
            &["error", "messages"],
        ];
        let places = places.into_iter().filter_map(|place| self.at(place));
        let texts = places.flat_map(|place| match place {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            place => Vec::from_iter(place.as_str()),
        });
        // A gateway that repeats the path speaks of nothing.
        texts.filter(|text| !text.contains("/v5/")).any(|text| {
            let text = text.to_lowercase();
            text.match_indices(word).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
        })
    }

    /// What identifies the failure to the vendor's support.
    fn request_id(&self) -> String {
        let ids = [self.at(&["error", "requestId"]), self.at(&["requestId"])];
        plain(ids.into_iter().flatten().find_map(Value::as_str).unwrap_or_default())
    }

    /// Its code and id, and nothing of its prose.
    fn describe(&self) -> String {
        let code = self.vendor_s_code().or_else(|| self.codes().next()).unwrap_or_default();
        match (&*plain(&code), &*self.request_id()) {
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
            (400, r#"{"code":400,"errorCode":"2010203"}"#, "queue_full"),
            (400, r#"{"code":0,"error":{"code":2010606}}"#, "feature_disabled"),
            (400, r#"{"error":"2010606"}"#, "feature_disabled"),
            (400, r#"{"error":"team not registration"}"#, "feature_disabled"),
            (400, r#"{"error":{"messages":"Team not registration"}}"#, "feature_disabled"),
            (400, r#"{"message":"room is banned","x":NaN}"#, "room_disabled"),
            (403, r#"{"error":{"title":"room is banned"}}"#, "room_disabled"),
            (403, r#"{"message":"unbanned"}"#, "refused"),
            (401, r#"{"code":2010606}"#, "credentials_rejected"),
            (500, r#"{"code":2010203}"#, "outcome_unknown"),
            (302, "", "outcome_unknown"),
            (418, "", "unexpected_answer"),
        ] {
            assert_eq!(name(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        for (message, expected) in [
            ("an obscene word", "not_found"),
            ("no such scene", "scene_not_found"),
            ("Scenes are missing", "scene_not_found"),
        ] {
            let body = received(404, &format!(r#"{{"message":"{message}"}}"#));
            assert_eq!(check(body, Effect::None, Resource::Scene).unwrap_err().name(), expected, "{message}");
        }
    }

    #[test]
    fn the_vendor_s_request_id_reaches_the_log_whole() {
        let body = received(400, r#"{"error":{"title":"x","requestId":"jMa0_B_S-wwwJw"}}"#);
        let error = check(body, Effect::None, Resource::Room).unwrap_err();
        assert_eq!(error.detail(), Some("400 Bad Request, upstream request id jMa0_B_S-wwwJw"));
    }
}
