//! All that is wrong with a request.

use tonic_types::FieldViolation;

use super::Error;

/// Collects violations; a request is turned down with all of them at once.
#[derive(Debug, Default)]
pub(super) struct Violations {
    found: Vec<FieldViolation>,
    /// Stands before every field: `requests[3].`.
    prefix: String,
}

impl Violations {
    /// What is added from here on lies within this part of the request.
    pub(super) fn within(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// `field`: its path in proto names. `description`: what it must be, never its value.
    pub(super) fn add(&mut self, field: &str, description: impl Into<String>) {
        self.found.push(FieldViolation::new(format!("{}{field}", self.prefix), description));
    }

    /// The parsed request, if nothing was wrong. What could not be parsed is `None` and has added
    /// its violation.
    pub(super) fn unless_any<T>(self, parsed: Option<T>) -> Result<T, Error> {
        match parsed {
            Some(parsed) if self.found.is_empty() => Ok(parsed),
            _ => Err(Error::Invalid(self.found)),
        }
    }
}
