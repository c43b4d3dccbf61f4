//! What is kept of each principal, for as long as it is worth keeping.
//!
//! Looking one up takes no lock: a map never changes, a new principal makes a new map. That is when
//! those who have been idle are left out of it, so that it holds no more than who was active lately
//! and needs no one to sweep it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;

/// A new principal copies a map of this part of all.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Principals<T> {
    /// Made when they are first needed: most grants of a large policy sleep.
    shards: [OnceLock<Shard<T>>; SHARDS],
    hasher: RandomState,
}

type Known<T> = HashMap<Arc<str>, Arc<T>>;

#[derive(Debug)]
struct Shard<T> {
    known: ArcSwap<Known<T>>,
    adding: Mutex<()>,
}

impl<T> Default for Principals<T> {
    fn default() -> Self {
        Self { shards: [const { OnceLock::new() }; SHARDS], hasher: RandomState::new() }
    }
}

impl<T: Default> Principals<T> {
    /// Does something with what is kept of a principal; a new one's is the default. `is_idle` says
    /// of others whether they can be told from new ones. A charge that runs while its idle principal
    /// is being forgotten is forgotten with it: that one, once.
    pub(super) fn with<R>(
        &self,
        principal: &str,
        is_idle: impl Fn(&T) -> bool,
        act: impl FnOnce(&Arc<T>) -> R,
    ) -> R {
        let shard = self.shard(principal).get_or_init(Shard::default);
        if let Some(kept) = shard.known.load().get(principal) {
            return act(kept);
        }
        act(&shard.add(principal, is_idle))
    }

    /// Does something with what is kept of a principal, if it is known.
    pub(super) fn find(&self, principal: &str, act: impl FnOnce(&T)) {
        if let Some(shard) = self.shard(principal).get()
            && let Some(kept) = shard.known.load().get(principal)
        {
            act(kept);
        }
    }

    fn shard(&self, principal: &str) -> &OnceLock<Shard<T>> {
        let hash = self.hasher.hash_one(principal).to_le_bytes();
        &self.shards[usize::from(hash[0]) % SHARDS]
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self { known: ArcSwap::default(), adding: Mutex::default() }
    }
}

impl<T: Default> Shard<T> {
    fn add(&self, principal: &str, is_idle: impl Fn(&T) -> bool) -> Arc<T> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        if let Some(kept) = known.get(principal) {
            return kept.clone();
        }
        let active = known.iter().filter(|(_, kept)| !is_idle(kept));
        let mut next: Known<T> = active.map(|(name, kept)| (name.clone(), kept.clone())).collect();
        let kept = Arc::<T>::default();
        next.insert(principal.into(), kept.clone());
        self.known.store(Arc::new(next));
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn count(principals: &Principals<AtomicU32>) -> usize {
        let shards = principals.shards.iter().filter_map(OnceLock::get);
        shards.map(|shard| shard.known.load().len()).sum()
    }

    #[test]
    fn idle_principals_are_forgotten_and_active_ones_are_not() {
        let principals = Principals::<AtomicU32>::default();
        let act = |name: String, value: u32| {
            principals.with(
                &name,
                |kept| kept.load(Ordering::Relaxed) == 0,
                |kept| kept.fetch_add(value, Ordering::Relaxed),
            )
        };
        for index in 0..1000 {
            act(format!("idle-{index}"), 0);
            act(format!("active-{index}"), 1);
        }
        // Whoever came last to a shard was not looked at again.
        assert!((1000..=1000 + SHARDS).contains(&count(&principals)), "{}", count(&principals));
        for index in 0..1000 {
            assert_eq!(act(format!("active-{index}"), 0), 1);
        }
    }

    #[test]
    fn those_who_come_at_once_are_the_same_one() {
        let principals = Principals::<AtomicU32>::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for index in 0..500 {
                        let add = |kept: &Arc<AtomicU32>| kept.fetch_add(1, Ordering::Relaxed);
                        principals.with(&index.to_string(), |_| false, add);
                    }
                });
            }
        });
        let mut counted = 0;
        for index in 0..500 {
            principals.find(&index.to_string(), |kept| counted += kept.load(Ordering::Relaxed));
        }
        assert_eq!((counted, count(&principals)), (8 * 500, 500));
    }
}
