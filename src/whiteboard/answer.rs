//! The upstream's responses: the requested data, or an error.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use reqwest::StatusCode;

use super::{
    error::{Effect, Error},
    error_body::ErrorBody,
    fault::Fault,
    fields::FromAnswer,
    lenient,
    unread::{Unread, UnreadLog},
};
use crate::{
    error_chain::Causes,
    methods::{Resource, Rpc},
};

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
    /// Read when it is first asked for.
    error: Arc<OnceLock<ErrorBody>>,
}

impl Received {
    pub(super) fn new(status: StatusCode, retry_after: Option<Duration>, body: Bytes) -> Self {
        Self { status, retry_after, body, error: Arc::default() }
    }

    /// The body, read as that of an error.
    pub(super) fn error(&self) -> &ErrorBody {
        self.error.get_or_init(|| ErrorBody::of(&lenient::text(&self.body)))
    }
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
    match fault {
        Fault::Garbled => unusable(effect, detail),
        _ if fault.is_unsent() => Error::Unreachable { detail },
        _ => lost(effect, detail),
    }
}

/// Reads an answer of success. Its body decides: what was made, or why it was not, or nothing usable.
pub(super) fn read<T: FromAnswer>(received: &Received, reading: &Reading<'_>) -> Result<T, Error> {
    let text = lenient::text(&received.body);
    let mut unread = Unread::default();
    let read = T::from_answer(&text, &mut unread);
    reading.unread.log(reading.rpc, unread);
    read.ok_or_else(|| failed(received, reading, "which cannot be read"))
}

/// Reads an answer to what is done by success alone, so that an empty one will do. Its body may still refuse.
pub(super) fn done<T: FromAnswer + Default>(received: &Received, reading: &Reading<'_>) -> Result<T, Error> {
    if received.body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    if received.error().is_error() {
        return Err(failed(received, reading, "which is an error's"));
    }
    read(received, reading)
}

/// Why an answer of success is none, by what its body says. A code refuses, though it be an unknown one.
fn failed(received: &Received, reading: &Reading<'_>, what: &str) -> Error {
    let body = received.error();
    let detail = format!("{}{}, {what}", received.status, body.describe());
    body.refusal(reading.resource).unwrap_or_else(|| match body.vendor_s_code() {
        Some(_) => Error::Refused { detail },
        None => unusable(Effect::of(reading.rpc), detail),
    })
}

/// A failure upstream: nobody knows how far the call came.
fn lost(effect: Effect, detail: String) -> Error {
    match effect {
        Effect::Possible => Error::OutcomeUnknown { detail },
        Effect::None => Error::Unreachable { detail },
    }
}

/// An answer that says nothing of what was done.
pub(super) fn unusable(effect: Effect, detail: String) -> Error {
    match effect {
        Effect::Possible => Error::OutcomeUnknown { detail },
        Effect::None => Error::UnexpectedAnswer { detail },
    }
}

/// An answer about another room or conversion is dropped.
pub(super) fn check_uuid(uuid: &str, asked: &str) -> Result<(), Error> {
    let detail = || "an answer about another uuid than was asked for".to_owned();
    if uuid == asked { Ok(()) } else { Err(Error::UnexpectedAnswer { detail: detail() }) }
}

/// Passes success on, and maps any other status to an error. `resource` is what may be missing.
pub(super) fn check(received: Received, effect: Effect, resource: Resource) -> Result<Received, Error> {
    let status = received.status;
    if status.is_success() {
        return Ok(received);
    }
    let body = received.error();
    // A gateway's page is no evidence of a missing room; an empty body counts as a documented one.
    let is_undocumented = !body.is_json() && !received.body.is_empty();
    let detail = format!("{status}{}", body.describe());
    Err(match status.as_u16() {
        401 => Error::CredentialsRejected { detail },
        429 => Error::RateLimited { retry_after: received.retry_after },
        400 | 403 | 404 if is_undocumented => Error::UnexpectedAnswer { detail },
        // With 408 and 499 a gateway says that it waited in vain.
        408 | 499 | 500.. => lost(effect, detail),
        400..500 => {
            let by_status = match status.as_u16() {
                404 if resource == Resource::Scene && body.mentions("scene") => Error::SceneNotFound,
                404 if resource != Resource::Project => Error::NotFound,
                400 | 403 => Error::Refused { detail },
                _ => Error::UnexpectedAnswer { detail },
            };
            body.refusal(resource).unwrap_or(by_status)
        }
        _ => unusable(effect, detail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, body: &str) -> Received {
        let status = StatusCode::from_u16(status).unwrap();
        Received::new(status, None, body.to_owned().into())
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
            (403, r#"{"title":"team not registration"}"#, "feature_disabled"),
            (403, r#"{"error":{"msg":"team not registration"}}"#, "feature_disabled"),
            (403, r#"{"errors":[{"title":"team not registration"}]}"#, "feature_disabled"),
            (403, r#"{"error":{"traceStack":["team not registration"]}}"#, "refused"),
            (400, r#"{"message":"room is banned","x":NaN}"#, "room_disabled"),
            (403, r#"{"error":{"title":"room is banned"}}"#, "room_disabled"),
            (403, r#"{"message":"unbanned"}"#, "refused"),
            (401, r#"{"code":2010606}"#, "credentials_rejected"),
            (500, r#"{"code":2010203}"#, "outcome_unknown"),
            (400, r#"{"errors":[{"code":2010606}]}"#, "feature_disabled"),
            (403, r#"{"error":{"data":{"errorCode":"2010203"}}}"#, "queue_full"),
            (400, r#"{"data":{"code":112,"errcode":2010607}}"#, "not_waiting"),
            (400, r#"{"data":{"page":2010607}}"#, "refused"),
            (408, "", "outcome_unknown"),
            (499, "<html>", "outcome_unknown"),
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
        for (written, logged) in [
            (r#""jMa0_B_S-wwwJw""#, "jMa0_B_S-wwwJw"),
            (r#""a.b:c/d+e=~1""#, "a.b:c/d+e=~1"),
            ("7", "7"),
            (r#""a\nb\"c d""#, "abcd"),
        ] {
            let body = received(400, &format!(r#"{{"error":{{"title":"x","requestId":{written}}}}}"#));
            let error = check(body, Effect::None, Resource::Room).unwrap_err();
            let detail = format!("400 Bad Request, upstream request id {logged}");
            assert_eq!(error.detail(), Some(&*detail));
        }
    }
}
