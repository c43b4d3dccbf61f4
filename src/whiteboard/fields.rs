//! How an answer's fields are read: one by one, so that none that cannot be read takes the others with it.
//!
//! An answer to a create is worth money: of what it says only the uuid is indispensable. A field may be absent, null, or
//! of another type than is documented. Then it is left out, and its name is logged.

use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::{access::PathUuid, lenient, unread::Unread};
use crate::clock::UnixMillis;

/// What is read from an answer's text.
pub(super) trait FromAnswer: Sized {
    /// `None` where the indispensable is missing.
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self>;
}

/// An object of an answer.
pub(super) struct Fields<'a> {
    fields: Vec<(String, &'a str)>,
    unread: &'a mut Unread,
}

impl<'a> Fields<'a> {
    /// `None`: it is no object.
    pub(super) fn of(text: &'a str, unread: &'a mut Unread) -> Option<Self> {
        Some(Self { fields: lenient::fields(text)?, unread })
    }

    /// A uuid that can stand in a path.
    pub(super) fn uuid(&mut self, name: &'static str) -> Option<String> {
        self.read(name, |value| text(value).filter(|uuid| PathUuid::new(uuid).is_some()))
    }

    /// Empty: it is not there. A number is taken for its digits.
    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.read(name, text).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, |value| match value {
            Value::Bool(flag) => Some(flag),
            value => match &*text(value)?.to_ascii_lowercase() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
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
        let texts = |value, _: &mut Unread| match value {
            Value::Array(list) => Some(list.into_iter().map(text).collect()),
            _ => None,
        };
        self.parts(name, texts)
    }

    /// What has parts, by the caller's own reading; without those that cannot be read.
    pub(super) fn parts<T, C: FromIterator<T>>(
        &mut self,
        name: &'static str,
        read: impl Fn(Value, &mut Unread) -> Option<Vec<Option<T>>>,
    ) -> C {
        let mut within = Unread::default();
        let parts = self.read(name, |value| read(value, &mut within)).unwrap_or_default();
        within.add(name, parts.iter().filter(|part| part.is_none()).count());
        self.unread.extend(within);
        parts.into_iter().flatten().collect()
    }

    /// By the caller's own reading; `None`: it is not there, or cannot be read.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Value) -> Option<T>,
    ) -> Option<T> {
        let is_meant = |field: &&(String, &str)| field.0 == name && field.1 != "null";
        let mut values = self.fields.iter().filter(is_meant).map(|(_, value)| value).peekable();
        values.peek()?;
        let read = values.find_map(|value| read(serde_json::from_str(value).ok()?));
        self.unread.add(name, usize::from(read.is_none()));
        read
    }
}

impl<T: FromAnswer> FromAnswer for Vec<T> {
    /// What cannot be read of a list is left out. One of which nothing can be read is none.
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let items = lenient::items(text)?;
        let length = items.len();
        let read: Self = items.into_iter().filter_map(|item| T::from_answer(item, unread)).collect();
        unread.add("an item", length - read.len());
        (!read.is_empty() || length == 0).then_some(read)
    }
}

impl FromAnswer for String {
    fn from_answer(item: &str, _: &mut Unread) -> Option<Self> {
        text(serde_json::from_str(item).ok()?)
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
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
