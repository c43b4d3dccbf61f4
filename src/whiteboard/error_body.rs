//! What an error's body says, in whichever of its forms.

use serde_json::{Value, json};

use super::{error::Error, lenient};
use crate::methods::Resource;

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

/// An error's body: `{message}` as documented, `{code, msg}`, `{error: {title, messages, requestId}}`, or
/// anything else, which tells nothing. `None`: it is no JSON.
#[derive(Debug)]
pub(super) struct ErrorBody(Option<Value>);

impl ErrorBody {
    pub(super) fn of(text: &str) -> Self {
        Self(lenient::value(text))
    }

    /// Whether it tells anything.
    pub(super) const fn is_json(&self) -> bool {
        self.0.is_some()
    }

    /// What stands at this place, by its names from the outside.
    fn at(&self, place: &[&str]) -> Option<&Value> {
        place.iter().try_fold(self.0.as_ref()?, |value, name| value.get(name))
    }

    /// What has one of these names, wherever it stands, the outermost first.
    fn named(&self, names: &[&str]) -> Vec<&Value> {
        let (mut found, mut level) = (Vec::new(), Vec::from_iter(&self.0));
        while !level.is_empty() {
            let mut below = Vec::new();
            for value in level {
                match value {
                    Value::Array(items) => below.extend(items),
                    Value::Object(fields) => {
                        let have_one = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
                        found.extend(have_one.map(|(_, value)| value));
                        below.extend(fields.values());
                    }
                    _ => {}
                }
            }
            level = below;
        }
        found
    }

    /// The error codes. Each comes as a number or as a string of digits.
    fn codes(&self) -> Vec<String> {
        let codes = self.named(&["code", "errorCode", "error_code", "errcode", "error"]);
        codes.into_iter().filter_map(scalar).collect()
    }

    /// The vendor's own code. A gateway's envelope has codes too, such as 0 and 200.
    pub(super) fn vendor_s_code(&self) -> Option<String> {
        self.codes().into_iter().find(|code| is_vendor_s(code))
    }

    /// Whether a body of success is an error all the same.
    pub(super) fn is_error(&self) -> bool {
        let error = self.at(&["error"]);
        let says_nothing = |error: &Value| {
            let nothing = [Value::Null, false.into(), 0.into(), "".into(), json!([]), json!({})];
            nothing.contains(error)
        };
        self.vendor_s_code().is_some() || error.is_some_and(|error| !says_nothing(error))
    }

    /// Why it refuses, where it says more than the status: by a code, or by its prose.
    pub(super) fn refusal(&self, resource: Resource) -> Option<Error> {
        if let Some(refused) = self.codes().iter().find_map(|code| by_code(code, resource)) {
            return Some(refused);
        }
        // The project has not the feature in this region.
        if self.mentions("team not registration") {
            return Some(Error::FeatureDisabled);
        }
        self.mentions("banned").then_some(Error::RoomDisabled)
    }

    /// Whether a word of the prose begins so: the only sign of some failures.
    pub(super) fn mentions(&self, word: &str) -> bool {
        let places = self.named(&["message", "messages", "msg", "title", "errorMessage", "error"]);
        let texts = places.into_iter().flat_map(|place| match place {
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
    pub(super) fn request_id(&self) -> String {
        let ids = [self.at(&["error", "requestId"]), self.at(&["requestId"])];
        plain(&ids.into_iter().flatten().find_map(scalar).unwrap_or_default())
    }

    /// Its code and id, and nothing of its prose.
    pub(super) fn describe(&self) -> String {
        let code = self.vendor_s_code().or_else(|| self.codes().into_iter().next()).unwrap_or_default();
        match (&*plain(&code), &*self.request_id()) {
            ("", "") => String::new(),
            (code, "") => format!(", code {code}"),
            ("", id) => format!(", upstream request id {id}"),
            (code, id) => format!(", code {code}, upstream request id {id}"),
        }
    }
}

/// Whether it is one of the vendor's error codes, which have seven digits.
fn is_vendor_s(code: &str) -> bool {
    code.len() == 7 && code.bytes().all(|byte| byte.is_ascii_digit())
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

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What of a text cannot break a log line.
fn plain(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.:/+=~".contains(*c);
    text.chars().filter(allowed).take(64).collect()
}
