//! Values of a document, each with its path and place.

use std::{borrow::Cow, collections::BTreeMap, fmt::Display, time::Duration};

use toml::de::{DeTable, DeValue};

use super::reader::{Document, join};
use crate::token::Lifetime;

/// The outer `None`: it is wrong, and the mistake is noted. The inner one: it is not there.
pub(crate) type Optional<T> = Option<Option<T>>;

/// A value, and where it stands.
pub(crate) struct Node<'d> {
    document: &'d Document,
    /// Such as `grants[0].tokens[1].kind`.
    path: String,
    at: usize,
    value: DeValue<'d>,
}

/// A table. What was not taken from it when it is dropped is unknown, and a mistake.
pub(crate) struct Fields<'d> {
    document: &'d Document,
    path: String,
    at: usize,
    /// Each with the byte that its key begins at.
    left: BTreeMap<Cow<'d, str>, (usize, Node<'d>)>,
}

impl Document {
    /// The outermost table; `None` if the text is no TOML, of which every error is a mistake then.
    pub(crate) fn root(&self) -> Option<Fields<'_>> {
        let (root, errors) = DeTable::parse_recoverable(self.text());
        for error in &errors {
            let at = error.span().map_or(self.text().len(), |span| span.start);
            self.wrong_at(at, "", format_args!("this is not TOML: {}", error.message()));
        }
        errors.is_empty().then(|| Fields::new(self, String::new(), 0, root.into_inner()))
    }
}

impl<'d> Node<'d> {
    /// Notes that this is wrong.
    pub(crate) fn wrong(&self, what: impl Display) {
        self.document.wrong_at(self.at, &self.path, what);
    }

    /// The line that it begins on, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.document.line(self.at)
    }

    pub(crate) const fn value(&self) -> &DeValue<'d> {
        &self.value
    }

    /// A value that was read from this, where it could be.
    pub(crate) fn expect<T>(&self, value: Option<T>, expected: impl Display) -> Option<T> {
        if value.is_none() {
            self.wrong(format_args!("must be {expected}"));
        }
        value
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.expect(self.value.as_str(), "a string")
    }

    /// One of a closed set of names.
    pub(crate) fn name<T>(&self, parse: impl Fn(&str) -> Option<T>, expected: impl Display) -> Option<T> {
        self.expect(self.value.as_str().and_then(parse), expected)
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        self.expect(self.value.as_bool(), "true or false")
    }

    /// Only true can be meant.
    pub(crate) fn consent(&self) -> Option<()> {
        self.expect(self.value.as_bool().filter(|consent| *consent).map(|_| ()), "true, or left out")
    }

    /// A whole number from 1 to `most`.
    pub(crate) fn number(&self, most: u32) -> Option<u32> {
        let integer = self.value.as_integer();
        let number = integer.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        self.expect(
            number.filter(|number| (1..=most).contains(number)),
            format_args!("a whole number, 1 to {most}"),
        )
    }

    /// A lifetime with its unit, above zero.
    pub(crate) fn ttl(&self) -> Option<(Duration, Lifetime)> {
        let parsed = self.value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        let lifetime = parsed.and_then(|ttl| Some((ttl, Lifetime::ttl(ttl).ok()?)));
        self.expect(lifetime, "a duration above zero with its unit, such as \"10m\"")
    }

    /// A list, which can be empty.
    pub(crate) fn items(self, expected: impl Display) -> Option<Vec<Self>> {
        let Self { document, path, at, value } = self;
        let DeValue::Array(items) = value else {
            document.wrong_at(at, &path, format_args!("must be {expected}"));
            return None;
        };
        let nodes = items.into_iter().enumerate().map(|(index, item)| {
            let (path, at) = (format!("{path}[{index}]"), item.span().start);
            Self { document, path, at, value: item.into_inner() }
        });
        Some(nodes.collect())
    }

    /// A list of at least one thing.
    pub(crate) fn list(self) -> Option<Vec<Self>> {
        if self.value.as_array().is_some_and(|items| items.is_empty()) {
            self.wrong("is empty; leave it out, or name something");
            return None;
        }
        self.items("a list")
    }

    pub(crate) fn fields(self) -> Option<Fields<'d>> {
        let Self { document, path, at, value } = self;
        let DeValue::Table(table) = value else {
            document.wrong_at(at, &path, "must be a table");
            return None;
        };
        Some(Fields::new(document, path, at, table))
    }
}

impl<'d> Fields<'d> {
    pub(super) fn new(document: &'d Document, path: String, at: usize, table: DeTable<'d>) -> Self {
        let fields = table.into_iter().map(|(name, value)| {
            let (key_at, name) = (name.span().start, name.into_inner());
            let (path, at) = (join(&path, &name), value.span().start);
            (name, (key_at, Node { document, path, at, value: value.into_inner() }))
        });
        let left = fields.collect();
        Self { document, path, at, left }
    }

    /// A table that is not there.
    pub(crate) const fn none(document: &'d Document, path: String) -> Self {
        Self { document, path, at: 0, left: BTreeMap::new() }
    }

    /// The line that it begins on, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.document.line(self.at)
    }

    pub(crate) fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The names of the fields that were not taken yet.
    pub(crate) fn names(&self) -> Vec<String> {
        self.left.keys().map(ToString::to_string).collect()
    }

    /// Takes all fields that were not taken yet.
    pub(crate) fn ignore_rest(&mut self) {
        self.left.clear();
    }

    /// Notes that all fields that were not taken yet are wrong, without their names: one may be a secret.
    pub(crate) fn refuse_rest(&mut self, what: &str) {
        for (at, _) in std::mem::take(&mut self.left).into_values() {
            self.document.wrong_at(at, &self.path, what);
        }
    }

    /// Notes that something about the table as a whole is wrong.
    pub(crate) fn wrong(&self, what: impl Display) {
        self.document.wrong_at(self.at, &self.path, what);
    }

    /// A field that may be missing.
    pub(crate) fn take(&mut self, name: &str) -> Option<Node<'d>> {
        self.left.remove(name).map(|(_, node)| node)
    }

    /// A field that may be missing, and what is read from it.
    pub(crate) fn read<T>(&mut self, name: &str, read: impl FnOnce(Node<'d>) -> Option<T>) -> Optional<T> {
        self.take(name).map_or(Some(None), |node| read(node).map(Some))
    }

    /// A field that must be there.
    pub(crate) fn need(&mut self, name: &str) -> Option<Node<'d>> {
        let node = self.take(name);
        if node.is_none() {
            self.wrong(format_args!("{name} is missing"));
        }
        node
    }
}

impl Drop for Fields<'_> {
    fn drop(&mut self) {
        for (at, node) in self.left.values() {
            self.document.wrong_at(*at, &node.path, self.document.unknown);
        }
    }
}
