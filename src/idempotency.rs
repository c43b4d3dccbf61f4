//! Idempotency: a repeated call with the same `request_id` gets the first call's result.
//!
//! What is kept is what was created, never a token. This store lives in one process; it stands behind
//! a trait.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio_util::task::TaskTracker;
use tonic::async_trait;
use tracing::Instrument;

use crate::{
    clock::Clock,
    methods::Rpc,
    principal::Principal,
    whiteboard::{Effect, Error},
};

/// How long a result is kept.
const KEPT: Duration = Duration::from_mins(10);

/// How many results are kept at most.
const CAPACITY: usize = 100_000;

/// An idempotency key. The `request_id` is compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who calls.
    pub caller: Principal,
    /// The RPC.
    pub rpc: Rpc,
    /// The caller's `request_id`, in lower case.
    pub request_id: String,
}

/// SHA-256 of a request's other arguments.
pub type Arguments = [u8; 32];

/// What was created, encoded, or why it was not.
pub type Outcome = Result<Vec<u8>, Error>;

/// Why a store gives no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id was used with other arguments.
    OtherArguments,
    /// Too many results are kept already.
    Full,
    /// The first call broke off, or its result cannot be read.
    Lost,
}

/// Keeps results for ten minutes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Acts, unless a call with this key came before: then waits for that one's result, or gives it.
    /// An act that has begun goes on even if its caller leaves.
    ///
    /// The result of an act that surely had no effect is dropped: the next call acts again.
    async fn once(
        &self,
        key: Key,
        arguments: Arguments,
        act: BoxFuture<'static, Outcome>,
    ) -> Result<Outcome, Refusal>;
}

/// Keeps results in this process.
pub struct InMemory {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// The oldest first. A key that acted again is in it once for each time.
    order: VecDeque<(Duration, Key)>,
}

struct Entry {
    arguments: Arguments,
    /// By the monotonic clock.
    began: Duration,
    outcome: Pending,
}

/// `None`: the act broke off.
type Pending = Shared<BoxFuture<'static, Option<Outcome>>>;

impl InMemory {
    /// `tasks` owns the acts.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self { clock, tasks, capacity: CAPACITY, state: Mutex::default() }
    }
}

#[async_trait]
impl IdempotencyStore for InMemory {
    async fn once(
        &self,
        key: Key,
        arguments: Arguments,
        act: BoxFuture<'static, Outcome>,
    ) -> Result<Outcome, Refusal> {
        let outcome = self.find_or_begin(key, arguments, act)?;
        outcome.await.ok_or(Refusal::Lost)
    }
}

impl InMemory {
    fn find_or_begin(
        &self,
        key: Key,
        arguments: Arguments,
        act: BoxFuture<'static, Outcome>,
    ) -> Result<Pending, Refusal> {
        let began = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_before(began);
        if let Some(entry) = state.entries.get(&key).filter(|entry| entry.counts()) {
            let same = entry.arguments == arguments;
            return if same { Ok(entry.outcome.clone()) } else { Err(Refusal::OtherArguments) };
        }
        if state.is_full(self.capacity) {
            return Err(Refusal::Full);
        }
        let outcome = self.tasks.spawn(act.in_current_span()).map(Result::ok).boxed().shared();
        state.order.push_back((began, key.clone()));
        state.entries.insert(key, Entry { arguments, began, outcome: outcome.clone() });
        Ok(outcome)
    }
}

impl State {
    fn forget_before(&mut self, now: Duration) {
        while let Some((began, key)) = self.order.front() {
            if now.saturating_sub(*began) < KEPT {
                return;
            }
            // A key that acted again since has a younger entry.
            if self.entries.get(key).is_some_and(|entry| entry.began == *began) {
                self.entries.remove(key);
            }
            self.order.pop_front();
        }
    }

    /// Whether one more cannot be kept, even after what need not be kept is dropped.
    fn is_full(&mut self, capacity: usize) -> bool {
        if self.order.len() < capacity {
            return false;
        }
        self.entries.retain(|_, entry| entry.counts());
        let entries = &self.entries;
        self.order.retain(|(began, key)| entries.get(key).is_some_and(|entry| entry.began == *began));
        self.order.len() >= capacity
    }
}

impl Entry {
    /// Whether it is under way, or had an effect that must not be repeated.
    fn counts(&self) -> bool {
        // Not by `peek`, which does not poll an act whose callers all left.
        match self.outcome.clone().now_or_never() {
            Some(Some(Err(error))) => may_have_acted(&error),
            // The POST of one that broke off may have been sent.
            Some(Some(Ok(_)) | None) | None => true,
        }
    }
}

fn may_have_acted(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown { .. } | Error::UnexpectedAnswer { effect: Effect::Possible, .. })
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::clock::{ManualClock, UnixMillis};

    fn key(request_id: &str) -> Key {
        Key { caller: Principal::anonymous(), rpc: Rpc::CreateRoom, request_id: request_id.to_owned() }
    }

    fn store(clock: &Arc<ManualClock>, capacity: usize) -> InMemory {
        InMemory { capacity, ..InMemory::new(clock.clone(), TaskTracker::new()) }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(UnixMillis::EPOCH))
    }

    async fn create(store: &InMemory, request_id: &str, room: u8) -> Result<Outcome, Refusal> {
        store.once(key(request_id), [0; 32], async move { Ok(vec![room]) }.boxed()).await
    }

    async fn fail(store: &InMemory, request_id: &str) -> Result<Outcome, Refusal> {
        let limited = async { Err(Error::RateLimited { retry_after: None }) };
        store.once(key(request_id), [0; 32], limited.boxed()).await
    }

    #[tokio::test]
    async fn a_failure_without_effect_is_not_kept_though_its_caller_did_not_wait_for_it() {
        let outcomes = store(&clock(), CAPACITY);
        let mut call = Box::pin(fail(&outcomes, "1"));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        outcomes.tasks.close();
        outcomes.tasks.wait().await;
        assert_eq!(create(&outcomes, "1", 7).await.unwrap().unwrap(), [7]);
    }

    #[tokio::test]
    async fn failures_without_effect_take_no_space_from_others() {
        let outcomes = store(&clock(), 2);
        for _ in 0..5 {
            fail(&outcomes, "1").await.unwrap().unwrap_err();
        }
        create(&outcomes, "2", 2).await.unwrap().unwrap();
        create(&outcomes, "3", 3).await.unwrap().unwrap();
        assert_eq!(create(&outcomes, "4", 4).await.unwrap_err(), Refusal::Full);
        assert_eq!(create(&outcomes, "2", 9).await.unwrap().unwrap(), [2]);
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_forgets_nothing() {
        let clock = clock();
        let outcomes = store(&clock, CAPACITY);
        create(&outcomes, "1", 1).await.unwrap().unwrap();
        clock.step(3_600_000);
        assert_eq!(create(&outcomes, "1", 2).await.unwrap().unwrap(), [1]);
        clock.advance(KEPT);
        assert_eq!(create(&outcomes, "1", 3).await.unwrap().unwrap(), [3]);
    }
}
