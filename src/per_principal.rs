//! A value for each principal, kept while the principal is active.
//!
//! Looking one up takes no lock: a map never changes, and a new principal makes a new map. Idle
//! principals are left out of the new map, so it holds only those who were active recently, and no
//! task has to clean it up.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;

/// A new principal copies one map of so many.
const SHARDS: usize = 16;

/// The values, in shards. A new value is `T::default()`.
#[derive(Debug)]
pub(crate) struct PerPrincipal<T> {
    /// Made when they are first needed: most grants of a large policy are not used.
    shards: [OnceLock<Shard<T>>; SHARDS],
    hasher: RandomState,
}

type Values<T> = HashMap<Arc<str>, Arc<T>>;

#[derive(Debug)]
struct Shard<T> {
    values: ArcSwap<Values<T>>,
    adding: Mutex<()>,
}

impl<T> Default for PerPrincipal<T> {
    fn default() -> Self {
        Self { shards: [const { OnceLock::new() }; SHARDS], hasher: RandomState::new() }
    }
}

impl<T: Default> PerPrincipal<T> {
    /// Acts on a principal's value; a new principal has the default. `is_idle` says of other
    /// principals' values whether they equal the default. An act on an idle value that is being
    /// removed at that moment is lost with it.
    pub(crate) fn with<R>(
        &self,
        principal: &str,
        is_idle: impl Fn(&T) -> bool,
        act: impl FnOnce(&Arc<T>) -> R,
    ) -> R {
        let shard = self.shard(principal).get_or_init(Shard::default);
        if let Some(value) = shard.values.load().get(principal) {
            return act(value);
        }
        act(&shard.add(principal, is_idle))
    }

    /// Acts on a principal's value, if there is one.
    pub(crate) fn find(&self, principal: &str, act: impl FnOnce(&T)) {
        if let Some(shard) = self.shard(principal).get()
            && let Some(value) = shard.values.load().get(principal)
        {
            act(value);
        }
    }

    /// Looks at every principal's value.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&str, &T)) {
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for (name, value) in &**shard.values.load() {
                look(name, value);
            }
        }
    }

    fn shard(&self, principal: &str) -> &OnceLock<Shard<T>> {
        let hash = self.hasher.hash_one(principal).to_le_bytes();
        &self.shards[usize::from(hash[0]) % SHARDS]
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self { values: ArcSwap::default(), adding: Mutex::default() }
    }
}

impl<T: Default> Shard<T> {
    fn add(&self, principal: &str, is_idle: impl Fn(&T) -> bool) -> Arc<T> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let values = self.values.load();
        if let Some(value) = values.get(principal) {
            return value.clone();
        }
        let active = values.iter().filter(|(_, value)| !is_idle(value));
        let mut next: Values<T> = active.map(|(name, value)| (name.clone(), value.clone())).collect();
        let value = Arc::<T>::default();
        next.insert(principal.into(), value.clone());
        self.values.store(Arc::new(next));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn count(principals: &PerPrincipal<AtomicU32>) -> usize {
        let shards = principals.shards.iter().filter_map(OnceLock::get);
        shards.map(|shard| shard.values.load().len()).sum()
    }

    #[test]
    fn idle_principals_are_forgotten_and_active_ones_are_not() {
        let principals = PerPrincipal::<AtomicU32>::default();
        let act = |name: String, add: u32| {
            principals.with(
                &name,
                |value| value.load(Ordering::Relaxed) == 0,
                |value| value.fetch_add(add, Ordering::Relaxed),
            )
        };
        for index in 0..1000 {
            act(format!("idle-{index}"), 0);
            act(format!("active-{index}"), 1);
        }
        // The last principal of a shard was not looked at again.
        assert!((1000..=1000 + SHARDS).contains(&count(&principals)), "{}", count(&principals));
        for index in 0..1000 {
            assert_eq!(act(format!("active-{index}"), 0), 1);
        }
    }

    #[test]
    fn those_who_come_at_once_are_the_same_one() {
        let principals = PerPrincipal::<AtomicU32>::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for index in 0..500 {
                        let add = |value: &Arc<AtomicU32>| value.fetch_add(1, Ordering::Relaxed);
                        principals.with(&index.to_string(), |_| false, add);
                    }
                });
            }
        });
        let mut counted = 0;
        for index in 0..500 {
            principals.find(&index.to_string(), |value| counted += value.load(Ordering::Relaxed));
        }
        assert_eq!((counted, count(&principals)), (8 * 500, 500));
    }
}
