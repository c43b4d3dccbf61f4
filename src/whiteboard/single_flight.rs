//! Single flight: equal reads that overlap are coalesced into one upstream call.
//!
//! It saves callers that poll the upstream's rate limit and the wait for it: however many users ask at once how far
//! a conversion is, the upstream gets one call.

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

/// The calls under way. One that nobody waits for any longer is dropped.
pub(super) struct SingleFlight<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K: Hash + Eq, T: Clone> SingleFlight<K, T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the call of this key, or starts it.
    pub(super) fn join<E>(
        &self,
        key: K,
        start: impl FnOnce() -> Result<BoxFuture<'static, T>, E>,
    ) -> Result<Shared<BoxFuture<'static, T>>, E> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, call| call.upgrade().is_some_and(|call| call.peek().is_none()));
        if let Some(call) = calls.get(&key).and_then(WeakShared::upgrade) {
            return Ok(call);
        }
        let call = start()?.shared();
        calls.extend(call.downgrade().map(|weak| (key, weak)));
        Ok(call)
    }
}

/// A change under way. It also ends if its caller leaves.
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
