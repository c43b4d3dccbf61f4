//! Why a command failed.

use crate::{client::Refusal, document::Mistake};

/// Why a command failed.
pub(super) enum Failure {
    /// The settings or arguments are wrong, in all these ways.
    Usage(Vec<String>),
    /// A server refused.
    Refused(Box<Refusal>),
    /// Another failure, in a sentence.
    Failed(String),
    /// The result is negative, and was printed.
    No,
}

impl From<Vec<Mistake>> for Failure {
    fn from(mistakes: Vec<Mistake>) -> Self {
        Self::Usage(mistakes.iter().map(ToString::to_string).collect())
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status.into()))
    }
}

impl From<crate::server::Error> for Failure {
    fn from(error: crate::server::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
