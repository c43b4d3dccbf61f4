//! Why a line is not written.

use std::{io::ErrorKind, time::Duration};

/// How long a call waits for its line.
pub const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Why a line is not known to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It was not accepted in time.
    #[error("not accepted within {} ms", LONGEST_WAIT.as_millis())]
    TimedOut,
    /// Too many lines wait already.
    #[error("too many lines wait")]
    Full,
    /// Writing failed.
    #[error("{0}")]
    Failed(ErrorKind),
    /// The trail was closed, or its thread has ended.
    #[error("the audit trail has ended")]
    Ended,
}

/// What could not be written at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unflushed {
    /// So many lines were left when their time was over.
    #[error("{0} audit lines could not be written")]
    Lines(usize),
    /// The thread did not end in time: it is stuck in a write, or it panicked.
    #[error("the audit's thread did not end in order")]
    Thread,
}
