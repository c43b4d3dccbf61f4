//! The file of API keys:
//!
//! ```toml
//! [[api_keys]]
//! principal = "key:billing"
//! sha256 = "…64 hexadecimal digits…"
//! ```
//!
//! A principal may have several keys, so that one can be replaced without a gap. A mistake never
//! shows a value: it may be a key gone astray.

use std::{collections::HashMap, fmt::Display, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Principal, api_keys::Digest};
use crate::file::OpenFile;

/// The longest file, in bytes: as much as a Kubernetes Secret can hold.
const LONGEST_FILE: u64 = 1024 * 1024;

pub(super) type Keys = HashMap<Digest, Principal>;

/// # Errors
/// Every mistake, each with the file and its line.
pub(super) fn read(path: &Path) -> Result<Keys, Vec<String>> {
    let refuse = |what: &dyn Display| vec![format!("{} {what}", path.display())];
    let content = OpenFile::open(path).and_then(|file| file.read(LONGEST_FILE));
    let content = content.map_err(|error| refuse(&error))?;
    let text = std::str::from_utf8(&content).map_err(|_| refuse(&"is not UTF-8"))?;
    let mut file = File { text, keys: HashMap::new(), lines: HashMap::new(), mistakes: Vec::new() };
    file.read();
    if !file.mistakes.is_empty() {
        return Err(file.mistakes.iter().map(|mistake| format!("{}:{mistake}", path.display())).collect());
    }
    Ok(file.keys)
}

/// A file on the way to its keys.
struct File<'a> {
    text: &'a str,
    keys: Keys,
    /// Where each digest stands.
    lines: HashMap<Digest, usize>,
    /// Each begins with its line.
    mistakes: Vec<String>,
}

impl File<'_> {
    fn read(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.mistake(&error.span().unwrap_or_default(), &format!("is not TOML: {}", error.message()));
        }
        if !errors.is_empty() {
            return;
        }
        for (name, value) in table.get_ref() {
            match (&**name.get_ref(), value.get_ref()) {
                ("api_keys", DeValue::Array(entries)) => entries.iter().for_each(|entry| self.entry(entry)),
                ("api_keys", _) => self.mistake(&value.span(), "must be tables, [[api_keys]]"),
                _ => self.mistake(&name.span(), "is not known here; there is [[api_keys]] only"),
            }
        }
        if self.keys.is_empty() && self.mistakes.is_empty() {
            self.mistake(&(0..0), "there is no key");
        }
    }

    fn entry(&mut self, entry: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = entry.get_ref() else {
            self.mistake(&entry.span(), "must be a table, [[api_keys]]");
            return;
        };
        let (mut principal, mut digest) = (None, None);
        for (name, value) in table {
            let text = value.get_ref().as_str().unwrap_or_default();
            match &**name.get_ref() {
                "principal" => principal = Some(self.principal(text, &value.span())),
                "sha256" => digest = Some(self.digest(text, &value.span())),
                _ => self.mistake(&name.span(), "is not known here; there are principal and sha256 only"),
            }
        }
        for (name, is_missing) in [("principal", principal.is_none()), ("sha256", digest.is_none())] {
            if is_missing {
                self.mistake(&entry.span(), &format!("{name} is missing"));
            }
        }
        if let (Some(Some(principal)), Some(Some(digest))) = (principal, digest) {
            self.keys.insert(digest, principal);
        }
    }

    fn principal(&mut self, text: &str, place: &Range<usize>) -> Option<Principal> {
        let principal = text.parse().ok().filter(|_| text.starts_with("key:"));
        if principal.is_none() {
            self.mistake(place, "principal must be key: and 1 to 63 of 0-9 A-Z a-z . _ and -");
        }
        principal
    }

    fn digest(&mut self, text: &str, place: &Range<usize>) -> Option<Digest> {
        let Some(digest) = from_hex(text).map(Digest) else {
            self.mistake(place, "sha256 must be 64 hexadecimal digits: the key's digest, not the key");
            return None;
        };
        if let Some(line) = self.lines.insert(digest, self.line(place)) {
            self.mistake(place, &format!("sha256 is the same as in line {line}"));
            return None;
        }
        Some(digest)
    }

    fn mistake(&mut self, place: &Range<usize>, what: &str) {
        self.mistakes.push(format!("{}: {what}", self.line(place)));
    }

    fn line(&self, place: &Range<usize>) -> usize {
        self.text.get(..place.start).unwrap_or_default().matches('\n').count() + 1
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
