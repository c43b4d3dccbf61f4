//! The settings file with the environment over it, table by table.

use std::{cell::RefCell, collections::BTreeMap, ffi::OsString, fmt::Display};

use super::{setting::Setting, sources::Sources};
use crate::document::{Digests, Document, Fields, Mistake, Node, join};

/// The longest settings file, in bytes: four times what a `ConfigMap` holds.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What is said of a key that no setting has.
const UNKNOWN: &str = "is not a known setting";

/// The settings file, the variables that take precedence over it, and what is wrong so far.
pub(super) struct SettingsFile {
    document: Document,
    variables: Vec<Variable>,
    /// The lists that miss an item which could not be read, as `path[`: indices in them have moved.
    incomplete: RefCell<Vec<String>>,
}

/// An environment variable that sets something: `INKPASS_SERVER__LISTEN` is `server.listen`.
struct Variable {
    name: String,
    section: String,
    setting: String,
    text: OsString,
}

impl SettingsFile {
    pub(super) fn read(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let Some(path) = &sources.file else {
            let what = "no file; name one with --config or INKPASS_CONFIG";
            return Err(vec![Mistake::in_setting("settings", what)]);
        };
        let document = Document::read(path, LONGEST, UNKNOWN)?;
        if document.is_blank() {
            return Err(vec![Mistake::in_file(path, "is empty")]);
        }
        let variables = sources.environment.iter().filter_map(Variable::new).collect();
        Ok(Self { document, variables, incomplete: RefCell::default() })
    }

    /// The outermost table; `None` if the file is no TOML.
    pub(super) fn root(&self) -> Option<Section<'_>> {
        Some(Section::new(self, self.document.root()?))
    }

    /// Of every value in the file.
    pub(super) fn digests(&self) -> Digests {
        self.document.digests()
    }

    /// Adds a mistake about a setting, wherever that is set.
    pub(super) fn wrong(&self, path: &str, what: impl Display) {
        match self.variables.iter().rfind(|variable| variable.path() == path) {
            Some(variable) => self.document.add(Mistake::in_variable(&variable.name, path, what)),
            None => self.document.wrong(path, what),
        }
    }

    /// What was loaded, or else `None` and its mistakes, which are about settings or other files.
    pub(super) fn note<T>(&self, loaded: Result<T, Vec<Mistake>>) -> Option<T> {
        let note = |mistake: Mistake| match mistake.unplaced() {
            // It is found again when the list is complete.
            Some((path, _)) if self.incomplete.borrow().iter().any(|list| path.starts_with(list)) => {}
            Some((path, what)) => self.wrong(path, what),
            None => self.document.add(mistake),
        };
        loaded.map_err(|mistakes| mistakes.into_iter().for_each(note)).ok()
    }

    /// # Errors
    /// Every mistake: those in the file from its top to its end, then the others.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Mistake>> {
        self.document.finish(read)
    }
}

impl Variable {
    /// `None`: it is none of ours, which have `__` in their names.
    fn new((name, text): &(OsString, OsString)) -> Option<Self> {
        let name = name.to_str()?;
        let (section, setting) = name.strip_prefix("INKPASS_")?.split_once("__")?;
        Some(Self {
            name: name.to_owned(),
            section: section.to_ascii_lowercase(),
            setting: setting.to_ascii_lowercase(),
            text: text.clone(),
        })
    }

    fn path(&self) -> String {
        join(&self.section, &self.setting)
    }

    fn is_unknown(&self) -> Mistake {
        let what = "names no known setting; projects and lists are set in the file only";
        Mistake::in_variable(&self.name, "", what)
    }
}

/// One table of the settings. What was not taken when it is dropped is unknown, and a mistake.
pub(super) struct Section<'s> {
    file: &'s SettingsFile,
    fields: Fields<'s>,
    /// By their settings.
    variables: BTreeMap<&'s str, &'s Variable>,
}

impl<'s> Section<'s> {
    const fn new(file: &'s SettingsFile, fields: Fields<'s>) -> Self {
        Self { file, fields, variables: BTreeMap::new() }
    }

    /// A table within this one; empty if it is missing.
    pub(super) fn section(&mut self, name: &str) -> Self {
        let fields = self.fields.take(name).and_then(Node::fields);
        let none = || Fields::none(&self.file.document, self.fields.path_of(name));
        Self::new(self.file, fields.unwrap_or_else(none))
    }

    /// The same with the variables that set something in it.
    pub(super) fn overlaid(&mut self, name: &str) -> Self {
        let mut section = self.section(name);
        let own = self.file.variables.iter().filter(|variable| variable.section == name);
        section.variables = own.map(|variable| (&*variable.setting, variable)).collect();
        section
    }

    /// The same of all tables that variables can set something in.
    pub(super) fn all_overlaid<const N: usize>(&mut self, names: [&str; N]) -> [Self; N] {
        for variable in self.file.variables.iter().filter(|variable| !names.contains(&&*variable.section)) {
            self.file.document.add(variable.is_unknown());
        }
        names.map(|name| self.overlaid(name))
    }

    /// A setting that may be missing.
    pub(super) fn take<T: Setting>(&mut self, name: &str) -> Option<T> {
        let node = self.fields.take(name);
        let Some(variable) = self.variables.remove(name) else { return read(&node?) };
        let value = variable.text.to_str().and_then(T::from_text);
        if value.is_none() {
            self.file.wrong(&variable.path(), format_args!("must be {}", T::EXPECTED));
        }
        value
    }

    /// A setting that must be there.
    pub(super) fn need<T: Setting>(&mut self, name: &str) -> Option<T> {
        let node = self.fields.take(name);
        if node.is_none() {
            let what = format_args!("is missing; it must be {}", T::EXPECTED);
            self.file.wrong(&self.fields.path_of(name), what);
        }
        read(&node?)
    }

    /// A list of single values; empty if it is missing.
    pub(super) fn values<T: Setting>(&mut self, name: &str) -> Vec<T> {
        self.each(name, format_args!("a list, each {}", T::EXPECTED), |node| read(&node))
    }

    /// What is read from each of an array of tables; empty if it is missing.
    pub(super) fn list<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> Option<T>) -> Vec<T> {
        let file = self.file;
        self.each(name, "a list of tables", |node| read(&mut Self::new(file, node.fields()?)))
    }

    fn each<T>(
        &mut self,
        name: &str,
        expected: impl Display,
        read: impl Fn(Node<'s>) -> Option<T>,
    ) -> Vec<T> {
        let items = self.fields.take(name).and_then(|node| node.items(expected)).unwrap_or_default();
        let count = items.len();
        let list: Vec<_> = items.into_iter().filter_map(read).collect();
        if list.len() < count {
            self.file.incomplete.borrow_mut().push(format!("{}[", self.fields.path_of(name)));
        }
        list
    }

    /// The names of what was not taken yet.
    pub(super) fn names(&self) -> Vec<String> {
        self.fields.names()
    }

    /// Takes everything that was not taken yet.
    pub(super) fn ignore_rest(&mut self) {
        self.fields.ignore_rest();
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for variable in self.variables.values() {
            self.file.document.add(variable.is_unknown());
        }
    }
}

fn read<T: Setting>(node: &Node<'_>) -> Option<T> {
    node.expect(T::from_toml(node.value()), T::EXPECTED)
}
