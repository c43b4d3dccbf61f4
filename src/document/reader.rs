//! A document, and the mistakes found in it.

use std::{cell::RefCell, collections::BTreeMap, fmt::Display, path::Path};

use sha2::{Digest, Sha256};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use zeroize::Zeroizing;

use super::mistake::{Mistake, Position};
use crate::file::read_text;

/// Of each value of a document, by its path: its SHA-256.
pub type Digests = BTreeMap<String, [u8; 32]>;

/// The text of a document, and what is wrong with it so far.
pub(crate) struct Document {
    /// The file's name; empty where the text is of no file.
    source: String,
    text: Zeroizing<String>,
    line_starts: Vec<usize>,
    /// What is said of a key that no reader takes.
    pub(super) unknown: &'static str,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Document {
    /// `unknown`: what is said of a key that no reader takes.
    pub(crate) fn new(source: impl Display, text: Zeroizing<String>, unknown: &'static str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source: source.to_string(), text, line_starts, unknown, mistakes: RefCell::default() }
    }

    /// Reads a file of at most `longest` bytes.
    pub(crate) fn read(path: &Path, longest: u64, unknown: &'static str) -> Result<Self, Vec<Mistake>> {
        match read_text(path, longest) {
            Ok(text) => Ok(Self::new(path.display(), text, unknown)),
            Err(error) => Err(vec![Mistake::in_file(path, error)]),
        }
    }

    /// Whether there is nothing but white space in it.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a mistake about what begins at a byte.
    pub(crate) fn wrong_at(&self, at: usize, path: &str, what: impl Display) {
        self.push(Some(self.position(at)), path, what);
    }

    /// Adds a mistake about a path. It stands where its value does, else where the innermost table
    /// around it does, else in the file as a whole.
    pub(crate) fn wrong<'p>(&self, path: &'p str, what: impl Display) {
        let mut starts = BTreeMap::new();
        add_starts(DeTable::parse_recoverable(&self.text).0.get_ref(), "", &mut starts);
        let around = |path: &&'p str| path.rfind(['.', '[']).map(|end| &path[..end]);
        let start = std::iter::successors(Some(path), around).find_map(|path| starts.get(path));
        self.push(start.map(|at| self.position(*at)), path, what);
    }

    fn push(&self, position: Option<Position>, path: &str, what: impl Display) {
        let (source, path, what) = (self.source.clone(), path.to_owned(), what.to_string());
        self.add(Mistake { source, position, path, what });
    }

    /// Adds a mistake that was found elsewhere.
    pub(crate) fn add(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The line that a byte is in, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn position(&self, at: usize) -> Position {
        let line = self.line(at);
        let before = self.text.get(self.line_starts[line - 1]..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// The digest of every single value by its path, to tell what of another document differs. A value may be a secret.
    pub(crate) fn digests(&self) -> Digests {
        let mut digests = Digests::new();
        add_digests(DeTable::parse_recoverable(&self.text).0.get_ref(), "", &self.text, &mut digests);
        digests
    }

    /// What was read, if nothing was wrong.
    ///
    /// # Errors
    /// Every mistake, from the top of the document to its end, and then those of elsewhere.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Mistake>> {
        let mut mistakes = self.mistakes.take();
        mistakes.sort_by_cached_key(|mistake| {
            let own = (mistake.source == self.source).then(|| mistake.clone());
            (own.is_none(), own)
        });
        read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }
}

/// Where the values of a table begin, by their paths.
fn add_starts(table: &DeTable<'_>, path: &str, starts: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let path = join(path, name.get_ref());
        starts.insert(path.clone(), value.span().start);
        match value.get_ref() {
            DeValue::Table(table) => add_starts(table, &path, starts),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    starts.insert(path.clone(), item.span().start);
                    if let DeValue::Table(table) = item.get_ref() {
                        add_starts(table, &path, starts);
                    }
                }
            }
            _ => {}
        }
    }
}

fn add_digests(table: &DeTable<'_>, path: &str, text: &str, digests: &mut Digests) {
    for (name, value) in table {
        add_digest(value, join(path, name.get_ref()), text, digests);
    }
}

fn add_digest(value: &Spanned<DeValue<'_>>, path: String, text: &str, digests: &mut Digests) {
    let single = match value.get_ref() {
        DeValue::Table(table) => return add_digests(table, &path, text, digests),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                add_digest(item, format!("{path}[{index}]"), text, digests);
            }
            return;
        }
        DeValue::String(text) => text,
        _ => text.get(value.span()).unwrap_or_default(),
    };
    digests.insert(path, Sha256::digest(single).into());
}

/// The path of what a table at `path` calls `name`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
