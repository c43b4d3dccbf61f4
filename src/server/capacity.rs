//! How many connections a listener has places for.

use rustix::process::{Resource, getrlimit};

/// The most connections of a listener, where there are descriptors for them.
const MOST: usize = 4096;

/// The most connections of the admin listener: probes and Prometheus need a few, and are answered at once.
const MOST_OF_ADMIN: usize = 64;

/// Descriptors that are not for connections of gRPC: as many as calls upstream may take, and some files.
const OTHER_DESCRIPTORS: usize = 512 + MOST_OF_ADMIN + 64;

/// What an unauthenticated connection can make the process hold, in bytes: half a TLS handshake, and half calls.
const MEMORY_OF_UNAUTHENTICATED: u64 = 512 * 1024;

/// How many connections a listener has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) most: usize,
    pub(super) most_unauthenticated: usize,
    /// From one IP address; 0: no limit.
    pub(super) most_of_peer: usize,
}

impl Capacity {
    /// Of gRPC's listener, as far as this process has descriptors for it: unauthenticated connections have a quarter, and one
    /// for 512 KiB at most of this process's memory limit. `memory`: that limit, in bytes, if there is one.
    pub(super) fn of_grpc(most_of_peer: usize, memory: Option<u64>) -> Self {
        let descriptors = descriptors();
        let fit = memory.map_or(u64::MAX, |bytes| bytes / MEMORY_OF_UNAUTHENTICATED);
        let most = MOST.min(descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 4));
        Self {
            most,
            most_unauthenticated: (most / 4).min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1),
            most_of_peer,
        }
    }

    /// Of the admin listener, where nobody is authenticated.
    pub(super) fn of_admin() -> Self {
        let most = MOST_OF_ADMIN.min(descriptors() / 16).max(4);
        Self { most, most_unauthenticated: most * 3 / 4, most_of_peer: 0 }
    }
}

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
