//! Single flight: equal reads that overlap are coalesced into one upstream call.
//!
//! It saves callers that poll the upstream's rate limit and the wait for it: however many users ask at once how far
//! a conversion is, the upstream gets one call. One that hangs takes those with it that came soon after it, and none later.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// How old a call may be that others join.
const LONGEST_JOINED: Duration = Duration::from_secs(1);

/// The calls under way, and their results. One that nobody waits for any longer is dropped.
pub(super) struct SingleFlight<K, C, T: Clone>(Mutex<HashMap<K, UnderWay<C, T>>>);

/// It keeps neither: a call has a token, and the key that signed it.
struct UnderWay<C, T: Clone> {
    began: Instant,
    call: Weak<C>,
    result: WeakShared<BoxFuture<'static, T>>,
}

impl<K: Hash + Eq, C, T: Clone> SingleFlight<K, C, T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the call of this key, or starts this one. Also which call it is.
    pub(super) fn join<E>(
        &self,
        key: K,
        call: Arc<C>,
        now: Instant,
        start: impl FnOnce(Arc<C>) -> Result<BoxFuture<'static, T>, E>,
    ) -> Result<(Arc<C>, Shared<BoxFuture<'static, T>>), E> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, other| {
            now.saturating_duration_since(other.began) < LONGEST_JOINED
                && other.result.upgrade().is_some_and(|result| result.peek().is_none())
        });
        let other = calls.get(&key).and_then(|other| Some((other.call.upgrade()?, other.result.upgrade()?)));
        if let Some(other) = other {
            return Ok(other);
        }
        let result = start(call.clone())?.shared();
        let under_way = |result| UnderWay { began: now, call: Arc::downgrade(&call), result };
        calls.extend(result.downgrade().map(|result| (key, under_way(result))));
        Ok((call, result))
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
