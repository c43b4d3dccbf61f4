//! The `OTEL_*` variables, read as OpenTelemetry's specification says: empty is unset, and what cannot be used is
//! warned of and left out.

use std::{cell::RefCell, ffi::OsString, ops::RangeInclusive, time::Duration};

/// The most characters of a value that a warning quotes.
const LONGEST_QUOTE: usize = 64;

/// A variable that cannot be used, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Its name.
    pub(crate) variable: String,
    /// What is wrong, and what is done instead. Never a secret.
    pub(crate) what: String,
}

/// The variables of a process, and what is wrong with them.
pub(super) struct Variables<'a> {
    environment: &'a [(OsString, OsString)],
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(environment: &'a [(OsString, OsString)]) -> Self {
        Self { environment, warnings: RefCell::default() }
    }

    /// A variable's value; `None` where it is unset or empty.
    pub(super) fn get(&self, wanted: &str) -> Option<&'a str> {
        let (name, value) = self.environment.iter().find(|(name, _)| name == wanted)?;
        let text = value.to_str().map(str::trim);
        if text.is_none() {
            self.warn(&name.to_string_lossy(), "is no UTF-8, and is left out");
        }
        text.filter(|text| !text.is_empty())
    }

    /// The first of these variables that is set.
    pub(super) fn first<N: AsRef<str>>(&self, names: &[N]) -> Option<(String, &'a str)> {
        names.iter().find_map(|name| Some((name.as_ref().to_owned(), self.get(name.as_ref())?)))
    }

    /// The first of these variables that can be used. `expected` follows "must be".
    pub(super) fn choose<T, N: AsRef<str>>(
        &self,
        names: &[N],
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        names.iter().find_map(|name| {
            let value = self.get(name.as_ref())?;
            let parsed = parse(value);
            if parsed.is_none() {
                let what = format!("is {}; it must be {expected}, and is left out", quote(value));
                self.warn(name.as_ref(), &what);
            }
            parsed
        })
    }

    /// The same of a whole number.
    pub(super) fn number<N: AsRef<str>>(&self, names: &[N], range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.choose(names, &expected, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// How long something may take, in milliseconds; 0: as long as it may take at all.
    pub(super) fn timeout<N: AsRef<str>>(&self, names: &[N], longest: u64) -> Option<Duration> {
        let milliseconds = self.number(names, 0..=longest)?;
        Some(Duration::from_millis(if milliseconds == 0 { longest } else { milliseconds }))
    }

    /// What a list names of what is `known`. The rest is warned of, and left out.
    pub(super) fn list(&self, name: &str, known: &[&'static str]) -> Vec<&'static str> {
        let items = self.get(name).unwrap_or_default().split(',').map(str::trim);
        let parse = |item: &str| {
            let found = known.iter().copied().find(|known| known.eq_ignore_ascii_case(item));
            if found.is_none() {
                let what =
                    format!("names {}, which is none of {}: it is left out", quote(item), known.join(", "));
                self.warn(name, &what);
            }
            found
        };
        items.filter(|item| !item.is_empty()).filter_map(parse).collect()
    }

    /// A Boolean: only "true" is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        let parse = |text: &str| match &*text.to_ascii_lowercase() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        self.choose(&[name], "true or false", parse).unwrap_or(false)
    }

    /// Keeps a warning, which must not hold a secret; one is enough where two signals read one variable.
    pub(super) fn warn(&self, variable: &str, what: &str) {
        let warning = Warning { variable: variable.to_owned(), what: what.to_owned() };
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }
}

/// A value in quotation marks, without what could move a terminal's cursor.
pub(super) fn quote(value: &str) -> String {
    let short: String = value.chars().take(LONGEST_QUOTE).collect();
    format!("{short:?}")
}

/// The items of a list of `key=value`, without their percent-encoding. `Err`: the number of one that is none.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Result<(String, String), usize>> {
    let items = text.split(',').enumerate().filter(|(_, item)| !item.trim().is_empty());
    items.map(|(index, item)| pair(item).ok_or(index + 1))
}

fn pair(item: &str) -> Option<(String, String)> {
    let (key, value) = item.split_once('=')?;
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok().map(Into::into);
    if !is_encoded(item) {
        return None;
    }
    let key: String = decoded(key)?;
    (!key.is_empty()).then_some((key, decoded(value)?))
}

/// Whether each `%` begins a byte in hexadecimal.
fn is_encoded(text: &str) -> bool {
    let is_byte = |rest: &str| rest.get(..2).is_some_and(|byte| byte.bytes().all(|c| c.is_ascii_hexdigit()));
    text.split('%').skip(1).all(is_byte)
}
