//! Reads the tables of a settings file, and writes down every mistake instead of stopping at the
//! first. A mistake names the setting and never shows its value: it may be a secret gone astray.

use std::{cell::RefCell, collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use toml::{Table, Value};
use url::Url;

use crate::region::Region;

/// Everything that is wrong, in the order it was found.
#[derive(Debug, Default)]
pub struct Mistakes(RefCell<Vec<String>>);

impl Mistakes {
    /// Adds a mistake, made at `path`.
    pub fn add(&self, path: impl fmt::Display, what: impl fmt::Display) {
        self.0.borrow_mut().push(format!("{path}: {what}"));
    }

    /// All of them.
    #[must_use]
    pub fn into_inner(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// A setting's value, from one of two places.
pub(super) enum Raw {
    File(Value),
    /// From an environment variable, which is named in mistakes.
    Environment {
        name: String,
        text: String,
    },
}

/// A type that a single setting can have.
pub(super) trait Setting: Sized {
    /// What is expected, to follow "must be".
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_toml(value: &Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_toml(value: &Value) -> Option<Self> {
        value
            .as_float()
            .or_else(|| value.as_integer().and_then(|number| i32::try_from(number).ok()).map(Self::from))
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, such as \"0.0.0.0:50051\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration with its unit, such as \"10m\"";

    fn from_text(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
}

impl Setting for Region {
    const EXPECTED: &'static str = "one of us-sv, sg, in-mum, eu, gb-lon, cn-hz";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for Url {
    const EXPECTED: &'static str = "an http or https URL, such as \"https://api.netless.link\"";

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    }
}

/// One table of the settings. What was not taken when it is dropped is unknown, and a mistake.
pub(super) struct Section<'a> {
    path: String,
    values: BTreeMap<String, Raw>,
    mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: String, table: Table, mistakes: &'a Mistakes) -> Self {
        let values = table.into_iter().map(|(name, value)| (name, Raw::File(value))).collect();
        Self { path, values, mistakes }
    }

    /// Lets an environment variable go before the file.
    pub(super) fn overlay(&mut self, setting: String, name: String, text: String) {
        self.values.insert(setting, Raw::Environment { name, text });
    }

    /// A setting that may be missing.
    pub(super) fn take<T: Setting>(&mut self, name: &str) -> Option<T> {
        let raw = self.values.remove(name)?;
        let value = match &raw {
            Raw::File(value) => T::from_toml(value),
            Raw::Environment { text, .. } => T::from_text(text),
        };
        if value.is_none() {
            let origin = match raw {
                Raw::File(_) => String::new(),
                Raw::Environment { name, .. } => format!(" (from {name})"),
            };
            self.mistakes
                .add(format_args!("{}{origin}", self.path_of(name)), format_args!("must be {}", T::EXPECTED));
        }
        value
    }

    /// A setting that must be there.
    pub(super) fn need<T: Setting>(&mut self, name: &str) -> Option<T> {
        if !self.values.contains_key(name) {
            self.mistakes.add(self.path_of(name), format_args!("is missing; it must be {}", T::EXPECTED));
        }
        self.take(name)
    }

    /// A table within this one; empty if it is missing.
    pub(super) fn section(&mut self, name: &str) -> Self {
        let path = self.path_of(name);
        let table = match self.values.remove(name) {
            Some(Raw::File(Value::Table(table))) => table,
            Some(_) => {
                self.mistakes.add(&path, format_args!("must be a table, [{path}]"));
                Table::new()
            }
            None => Table::new(),
        };
        Self::new(path, table, self.mistakes)
    }

    /// A list of single values; empty if it is missing.
    pub(super) fn values<T: Setting>(&mut self, name: &str) -> Vec<T> {
        let path = self.path_of(name);
        let items = self.items(name, format_args!("must be a list, each {}", T::EXPECTED));
        let values = items.iter().enumerate().filter_map(|(index, item)| {
            let value = T::from_toml(item);
            if value.is_none() {
                self.mistakes.add(format_args!("{path}[{index}]"), format_args!("must be {}", T::EXPECTED));
            }
            value
        });
        values.collect()
    }

    /// An array of tables; empty if it is missing.
    pub(super) fn list(&mut self, name: &str) -> Vec<Self> {
        let path = self.path_of(name);
        let items = self.items(name, format_args!("must be a list of tables"));
        let tables = items.into_iter().enumerate().filter_map(|(index, item)| {
            let path = format!("{path}[{index}]");
            let Value::Table(table) = item else {
                self.mistakes.add(path, "must be a table");
                return None;
            };
            Some(Self::new(path, table, self.mistakes))
        });
        tables.collect()
    }

    fn items(&mut self, name: &str, expected: fmt::Arguments<'_>) -> Vec<Value> {
        match self.values.remove(name) {
            Some(Raw::File(Value::Array(items))) => items,
            Some(_) => {
                self.mistakes.add(self.path_of(name), expected);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// The names of what was not taken yet.
    pub(super) fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for (name, raw) in &self.values {
            match raw {
                Raw::File(_) => self.mistakes.add(self.path_of(name), "is not a known setting"),
                Raw::Environment { name, .. } => self.mistakes.add(name, "names no known setting"),
            }
        }
    }
}
