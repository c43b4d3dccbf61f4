//! Equal reads that are under way at the same time share one call.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// The calls that are under way. One that nobody waits for any more is dropped.
pub(super) struct Flights<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K: Hash + Eq, T: Clone> Flights<K, T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the call of this key that is under way, or starts one.
    pub(super) fn join(
        &self,
        key: K,
        start: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Shared<BoxFuture<'static, T>> {
        let under_way = |flight: &WeakShared<_>| flight.upgrade().filter(|flight| flight.peek().is_none());
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(under_way) {
            return flight;
        }
        flights.retain(|_, flight| under_way(flight).is_some());
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }
}

/// Something that is being changed. It ends also where its caller leaves.
pub(super) struct Change<'a>(&'a AtomicU64);

impl<'a> Change<'a> {
    pub(super) fn begin(changes: &'a AtomicU64) -> Self {
        changes.fetch_add(1, Ordering::SeqCst);
        Self(changes)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
