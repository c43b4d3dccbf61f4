//! All that is wrong with a request.

use tonic_types::FieldViolation;

use super::Error;

/// Collects violations; a request is turned down with all of them at once.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<FieldViolation>);

impl Violations {
    /// `field`: its path in proto names. `description`: what it must be, never its value.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, description));
    }

    /// The parsed request, if nothing was wrong. What could not be parsed is `None` and has added
    /// its violation.
    pub(super) fn unless_any<T>(self, parsed: Option<T>) -> Result<T, Error> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}
