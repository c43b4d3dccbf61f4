//! What the crate's errors mean.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::telemetry::StoreFault;

/// How much of an error the log has, in characters.
const LONGEST_ERROR: usize = 200;

/// What went wrong, of a closed set.
pub(super) fn fault_of(error: &RedisError) -> StoreFault {
    match error.code() {
        Some("READONLY") => StoreFault::ReadOnly,
        Some("OOM") => StoreFault::Full,
        Some("LOADING") => StoreFault::Loading,
        Some("NOREPLICAS") => StoreFault::NoReplicas,
        Some("NOPERM") => StoreFault::NoPermission,
        Some("MISCONF") => StoreFault::NotPersisting,
        _ if error.is_io_error() => StoreFault::Connection,
        _ => StoreFault::Other,
    }
}

/// For the log: the store chooses its words.
pub(super) fn shortened(error: &RedisError) -> String {
    error.to_string().chars().take(LONGEST_ERROR).collect()
}

/// Whether another connection may do better: this one ended, or leads to what is no master any more.
pub(super) fn is_lost(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io
        | ErrorKind::Parse
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(kind) => {
            matches!(
                kind,
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
            )
        }
        _ => false,
    }
}
