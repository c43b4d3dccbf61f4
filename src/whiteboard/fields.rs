//! How an answer's fields are read: one by one, so that none that cannot be read takes the others with it.
//!
//! An answer to a create is worth money: of what it says only the uuid is indispensable. A field may be absent, null, or
//! of another type than is documented. Then it is left out, and its name is logged.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use super::access::PathUuid;
use crate::clock::UnixMillis;

/// What is read from an answer's JSON.
pub(super) trait FromAnswer: Sized {
    /// `None` where the indispensable is missing.
    fn from_answer(answer: Value) -> Option<Self>;
}

/// An object of an answer. What cannot be read of it is logged when this is dropped, once a
/// second.
pub(super) struct Fields {
    object: Map<String, Value>,
    unread: Vec<&'static str>,
}

impl Fields {
    /// `None`: it is no object.
    pub(super) fn of(answer: Value) -> Option<Self> {
        match answer {
            Value::Object(object) => Some(Self { object, unread: Vec::new() }),
            _ => None,
        }
    }

    /// A uuid that can stand in a path.
    pub(super) fn uuid(&mut self, name: &'static str) -> Option<String> {
        self.read(name, text).filter(|uuid| PathUuid::new(uuid).is_some())
    }

    /// Empty: it is not there. A number is taken for its digits.
    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.read(name, text).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, |value| match value {
            Value::Bool(flag) => Some(flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A number, or a text that is one.
    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        self.read(name, number)
    }

    /// A number of pixels, pages or people. What a scale makes of pixels may be a fraction.
    pub(super) fn whole(&mut self, name: &'static str) -> Option<i32> {
        self.read(name, |value| whole(number(value)?))
    }

    /// RFC 3339, UTC.
    pub(super) fn time(&mut self, name: &'static str) -> Option<UnixMillis> {
        self.read(name, |value| time(value.as_str()?))
    }

    /// The texts of a list.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.read(name, texts).unwrap_or_default()
    }

    /// By the caller's own reading; `None`: it is not there, or cannot be read.
    pub(super) fn read<T>(&mut self, name: &'static str, read: impl FnOnce(Value) -> Option<T>) -> Option<T> {
        let value = self.object.remove(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.unread.push(name);
        }
        read
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if !self.unread.is_empty() && is_time_for_a_line() {
            tracing::warn!(fields = self.unread.join(", "), "fields of an upstream answer cannot be read");
        }
    }
}

/// Once a second: a list may have thousands of fields that cannot be read, and is asked for again.
fn is_time_for_a_line() -> bool {
    static NEXT: Mutex<Option<Instant>> = Mutex::new(None);
    let (mut next, now) = (NEXT.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    let is_time = next.is_none_or(|next| now >= next);
    if is_time {
        *next = Some(now + Duration::from_secs(1));
    }
    is_time
}

impl<T: FromAnswer> FromAnswer for Vec<T> {
    /// What cannot be read of a list is left out.
    fn from_answer(answer: Value) -> Option<Self> {
        let Value::Array(list) = answer else { return None };
        let length = list.len();
        let read: Self = list.into_iter().filter_map(T::from_answer).collect();
        if read.len() < length && is_time_for_a_line() {
            tracing::warn!(left_out = length - read.len(), "a part of an upstream list cannot be read");
        }
        Some(read)
    }
}

impl FromAnswer for String {
    fn from_answer(answer: Value) -> Option<Self> {
        text(answer)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(list) = value else { return None };
    list.into_iter().map(text).collect()
}

pub(super) fn number(value: Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

pub(super) fn whole(number: f64) -> Option<i32> {
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
    (0.0..=f64::from(i32::MAX)).contains(&number).then(|| number.round() as i32)
}

fn time(text: &str) -> Option<UnixMillis> {
    // humantime reads UTC written as Z alone.
    let text = text.strip_suffix("+00:00").map(|local| format!("{local}Z")).unwrap_or(text.to_owned());
    let time = humantime::parse_rfc3339(&text).ok()?;
    UnixMillis::EPOCH.checked_add(time.duration_since(UNIX_EPOCH).ok()?)
}
