//! The received requests, for assertions in an application's tests.
//!
//! Secrets are removed before anything is kept: of a token only its kind and role, of a secret key
//! nothing.

use std::collections::VecDeque;

use axum::http::request::Parts;
use serde_json::{Value, json};

use super::headers::header;
use crate::token::Presented;

/// How many requests are kept: the last ones.
const KEPT: usize = 10_000;
/// Of how many bytes a body is kept at most.
const KEPT_BODY: usize = 16 * 1024;

/// The requests to the vendor's paths, the oldest first.
#[derive(Default)]
pub(super) struct Requests(VecDeque<Value>);

impl Requests {
    /// Keeps a request. A body that could not be read is `None`.
    pub(super) fn record(&mut self, parts: &Parts, body: Option<&[u8]>) {
        let token = header(&parts.headers, "token").and_then(|token| Presented::parse(token).ok());
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(json!({
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "query": parts.uri.query(),
            "region": header(&parts.headers, "region"),
            "body": body.map_or(Value::Null, readable),
            "token_kind": token.as_ref().map(|token| token.kind().as_str()),
            "token_role": token.as_ref().map(|token| token.role().as_str()),
        }));
    }

    pub(super) fn json(&self) -> Value {
        self.0.iter().cloned().collect()
    }
}

/// The body as JSON. What is no JSON could hold a secret that cannot be found, so only its size
/// is kept.
fn readable(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let kept = if body.len() > KEPT_BODY { None } else { serde_json::from_slice(body).ok() };
    kept.map_or_else(|| format!("({} bytes)", body.len()).into(), without_secrets)
}

fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("secretAccessKey"))
            .map(|(name, value)| (name, without_secrets(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_secrets).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn the_last_requests_are_kept() {
        let mut requests = Requests::default();
        for number in 0..=KEPT {
            let (parts, ()) = Request::get(format!("/{number}")).body(()).unwrap().into_parts();
            requests.record(&parts, None);
        }
        assert_eq!(requests.0.len(), KEPT);
        assert_eq!(requests.0[0]["path"], "/1");
    }

    #[test]
    fn a_secret_key_is_never_kept() {
        let body = br#"{"accessKey":"a","secretAccessKey":"s3cret","list":[{"SecretAccessKey":"s3cret"}]}"#;
        assert_eq!(readable(body), json!({"accessKey": "a", "list": [{}]}));
        assert_eq!(readable(&body[1..]), json!("(81 bytes)"));
        assert_eq!(readable(b""), Value::Null);
    }
}
