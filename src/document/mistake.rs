//! A mistake and its place.

use std::{
    fmt::{self, Display},
    path::Path,
};

/// One thing that is wrong with what an operator wrote, as `FILE:line:column: path: what`.
///
/// A mistake about a whole file has no line, one about an environment variable has the variable's
/// name instead of a file, and one about a setting whose file is not at hand has neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file or the environment variable; empty where it is not known.
    pub(super) source: String,
    pub(super) position: Option<Position>,
    /// Such as `grants[0].rpcs[1]`; empty where the whole is meant.
    pub(super) path: String,
    pub(super) what: String,
}

/// A place in a file. Both figures are counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Mistake {
    /// About a setting. The reader of the settings file adds its place.
    pub(crate) fn in_setting(path: impl Display, what: impl Display) -> Self {
        Self { source: String::new(), position: None, path: path.to_string(), what: what.to_string() }
    }

    /// About a file as a whole.
    pub(crate) fn in_file(path: &Path, what: impl Display) -> Self {
        Self { source: path.display().to_string(), ..Self::in_setting("", what) }
    }

    /// About an environment variable. `path`: what it sets; empty if that is nothing.
    pub(crate) fn in_variable(name: &str, path: &str, what: impl Display) -> Self {
        Self { source: name.to_owned(), ..Self::in_setting(path, what) }
    }

    /// The path and what is wrong, if it is a mistake of [`Mistake::in_setting`].
    pub(crate) fn unplaced(&self) -> Option<(&str, &str)> {
        self.source.is_empty().then_some((&*self.path, &*self.what))
    }
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        let colon = if self.source.is_empty() { "" } else { ":" };
        match self.position {
            Some(Position { line, column }) => write!(f, "{colon}{line}:{column}: ")?,
            None if colon.is_empty() => {}
            None => f.write_str(": ")?,
        }
        if !self.path.is_empty() {
            // A key can be any text, also one that moves a terminal's cursor.
            write!(f, "{}: ", self.path.escape_debug())?;
        }
        f.write_str(&self.what)
    }
}
