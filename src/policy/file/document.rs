//! Reads a TOML document to its end and writes down every mistake, with where it is.
//!
//! It knows nothing of what the document is about.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, fmt, time::Duration};

use toml::de::{DeTable, DeValue};

use crate::token::Lifetime;

/// One thing that is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 where the file itself cannot be read.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong, and with what: `grants[0].rpcs[1]: …`.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "{line}:{}: {}", self.column, self.what),
        }
    }
}

/// The outer `None`: it is wrong, which is written down. The inner one: it is not there.
pub(super) type Optional<T> = Option<Option<T>>;

/// The text of a document, and what is wrong with it so far.
pub(super) struct Document<'s> {
    text: &'s str,
    line_starts: Vec<usize>,
    /// Each with the byte that it begins at.
    mistakes: RefCell<Vec<(usize, String)>>,
}

/// A value, and where it stands.
pub(super) struct Node<'d> {
    document: &'d Document<'d>,
    /// Such as `grants[0].tokens[1].kind`.
    path: String,
    at: usize,
    value: DeValue<'d>,
}

/// A table; what was not taken from it when it is dropped is unknown, and a mistake.
pub(super) struct Fields<'d> {
    document: &'d Document<'d>,
    path: String,
    at: usize,
    left: BTreeMap<Cow<'d, str>, (usize, Node<'d>)>,
}

impl<'s> Document<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, line_starts, mistakes: RefCell::default() }
    }

    /// The document's tables; `None` if it is no TOML, of which every error is a mistake then.
    pub(super) fn parse(&self) -> Option<Fields<'_>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            self.add(at, format!("this is not TOML: {}", error.message()));
        }
        errors.is_empty().then(|| Fields::new(self, String::new(), 0, root.into_inner()))
    }

    pub(super) fn add(&self, at: usize, what: String) {
        self.mistakes.borrow_mut().push((at, what));
    }

    /// The line that a byte is in, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Every mistake, from the top of the document to its end.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.take();
        mistakes.sort();
        let placed = mistakes.into_iter().map(|(at, what)| {
            let line = self.line(at);
            let before = self.text.get(self.line_starts[line - 1]..at).unwrap_or_default();
            Mistake { line, column: before.chars().count() + 1, what }
        });
        placed.collect()
    }
}

impl<'d> Node<'d> {
    /// Writes down that this is wrong.
    pub(super) fn wrong(&self, what: impl fmt::Display) {
        self.document.add(self.at, format!("{}: {what}", self.path));
    }

    fn expect<T>(&self, value: Option<T>, expected: impl fmt::Display) -> Option<T> {
        if value.is_none() {
            self.wrong(format_args!("must be {expected}"));
        }
        value
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.expect(self.value.as_str(), "a string")
    }

    /// One of a closed set of names.
    pub(super) fn name<T>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
        expected: impl fmt::Display,
    ) -> Option<T> {
        self.expect(self.value.as_str().and_then(parse), expected)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.expect(self.value.as_bool(), "true or false")
    }

    /// Only true can be meant.
    pub(super) fn consent(&self) -> Option<()> {
        self.expect(self.value.as_bool().filter(|consent| *consent).map(|_| ()), "true, or left out")
    }

    /// A whole number from 1 to `most`.
    pub(super) fn number(&self, most: u32) -> Option<u32> {
        let integer = self.value.as_integer();
        let number = integer.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        self.expect(
            number.filter(|number| (1..=most).contains(number)),
            format_args!("a whole number, 1 to {most}"),
        )
    }

    /// A lifetime with its unit, above zero.
    pub(super) fn ttl(&self) -> Option<(Duration, Lifetime)> {
        let parsed = self.value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        let lifetime = parsed.and_then(|ttl| Some((ttl, Lifetime::ttl(ttl).ok()?)));
        self.expect(lifetime, "a duration above zero with its unit, such as \"10m\"")
    }

    /// A list of at least one thing.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        let Self { document, path, at, value } = self;
        let DeValue::Array(items) = value else {
            document.add(at, format!("{path}: must be a list"));
            return None;
        };
        if items.is_empty() {
            document.add(at, format!("{path}: is empty; leave it out, or name something"));
            return None;
        }
        let nodes = items.into_iter().enumerate().map(|(index, item)| {
            let (path, at) = (format!("{path}[{index}]"), item.span().start);
            Self { document, path, at, value: item.into_inner() }
        });
        Some(nodes.collect())
    }

    pub(super) fn fields(self) -> Option<Fields<'d>> {
        let Self { document, path, at, value } = self;
        let DeValue::Table(table) = value else {
            document.add(at, format!("{path}: must be a table"));
            return None;
        };
        Some(Fields::new(document, path, at, table))
    }
}

impl<'d> Fields<'d> {
    fn new(document: &'d Document<'d>, path: String, at: usize, table: DeTable<'d>) -> Self {
        let fields = table.into_iter().map(|(name, value)| {
            let (key_at, name) = (name.span().start, name.into_inner());
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            let at = value.span().start;
            (name, (key_at, Node { document, path, at, value: value.into_inner() }))
        });
        let left = fields.collect();
        Self { document, path, at, left }
    }

    pub(super) fn line(&self) -> usize {
        self.document.line(self.at)
    }

    /// Writes down that something about the table as a whole is wrong.
    pub(super) fn wrong(&self, what: impl fmt::Display) {
        let colon = if self.path.is_empty() { "" } else { ": " };
        self.document.add(self.at, format!("{}{colon}{what}", self.path));
    }

    /// A field that may be missing.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'d>> {
        self.left.remove(name).map(|(_, node)| node)
    }

    /// A field that may be missing, and what is read from it.
    pub(super) fn read<T>(&mut self, name: &str, read: impl FnOnce(Node<'d>) -> Option<T>) -> Optional<T> {
        self.take(name).map_or(Some(None), |node| read(node).map(Some))
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Option<Node<'d>> {
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
            let path = node.path.escape_debug();
            self.document.add(*at, format!("{path}: is not a known key"));
        }
    }
}
