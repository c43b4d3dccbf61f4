//! Idempotency: a repeated call with the same `request_id` gets the first call's result.
//!
//! A result holds what was created, never a token. The store is a trait; the one here is in memory.

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
const RETENTION: Duration = Duration::from_mins(10);

/// How many results are kept at most.
const CAPACITY: usize = 100_000;

/// An idempotency key. The `request_id` is compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The caller.
    pub caller: Principal,
    /// The RPC.
    pub rpc: Rpc,
    /// The request's `request_id`, in lower case.
    pub request_id: String,
}

/// SHA-256 of a request's other arguments.
pub type Arguments = [u8; 32];

/// What the first call created, encoded, or its error.
pub type FirstResult = Result<Vec<u8>, Error>;

/// Why there is no result for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyError {
    /// The key was used with other arguments.
    OtherArguments,
    /// The store is full.
    Full,
    /// The first call did not end, or its result cannot be decoded.
    Lost,
}

/// Keeps results for ten minutes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Acts for the first call with a key; replays its result for the others, which wait for it. An act
    /// goes on when its caller leaves.
    ///
    /// An error that certainly had no effect is not kept: the next call acts again.
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<FirstResult, IdempotencyError>;
}

/// Keeps results in this process.
pub struct InMemory {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    capacity: usize,
    calls: Mutex<FirstCalls>,
}

#[derive(Default)]
struct FirstCalls {
    by_key: HashMap<IdempotencyKey, FirstCall>,
    /// The oldest first. A key that acted again is in it again.
    order: VecDeque<(Duration, IdempotencyKey)>,
}

struct FirstCall {
    arguments: Arguments,
    /// By the monotonic clock.
    began: Duration,
    result: PendingResult,
}

/// `None`: the act did not end.
type PendingResult = Shared<BoxFuture<'static, Option<FirstResult>>>;

impl InMemory {
    /// `tasks`: owns the acts.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self { clock, tasks, capacity: CAPACITY, calls: Mutex::default() }
    }
}

#[async_trait]
impl IdempotencyStore for InMemory {
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<FirstResult, IdempotencyError> {
        let result = self.find_or_begin(key, arguments, act)?;
        result.await.ok_or(IdempotencyError::Lost)
    }
}

impl InMemory {
    fn find_or_begin(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<PendingResult, IdempotencyError> {
        let began = self.clock.monotonic();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.drop_expired(began);
        if let Some(first) = calls.by_key.get(&key).filter(|call| call.must_be_kept()) {
            let same = first.arguments == arguments;
            return if same { Ok(first.result.clone()) } else { Err(IdempotencyError::OtherArguments) };
        }
        if calls.is_full(self.capacity) {
            return Err(IdempotencyError::Full);
        }
        let result = self.tasks.spawn(act.in_current_span()).map(Result::ok).boxed().shared();
        calls.order.push_back((began, key.clone()));
        calls.by_key.insert(key, FirstCall { arguments, began, result: result.clone() });
        Ok(result)
    }
}

impl FirstCalls {
    fn drop_expired(&mut self, now: Duration) {
        while let Some((began, key)) = self.order.front() {
            if now.saturating_sub(*began) < RETENTION {
                return;
            }
            // A key that acted again has a younger call.
            if self.by_key.get(key).is_some_and(|call| call.began == *began) {
                self.by_key.remove(key);
            }
            self.order.pop_front();
        }
    }

    /// Whether there is no space for one more, after all that need not be kept is dropped.
    fn is_full(&mut self, capacity: usize) -> bool {
        if self.order.len() < capacity {
            return false;
        }
        self.by_key.retain(|_, call| call.must_be_kept());
        let by_key = &self.by_key;
        self.order.retain(|(began, key)| by_key.get(key).is_some_and(|call| call.began == *began));
        self.order.len() >= capacity
    }
}

impl FirstCall {
    /// Whether it is in flight, or may have had an effect.
    fn must_be_kept(&self) -> bool {
        // `peek` would not poll an act whose callers all left.
        match self.result.clone().now_or_never() {
            Some(Some(Err(error))) => may_have_acted(&error),
            // An act that did not end may have sent its POST.
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

    fn key(request_id: &str) -> IdempotencyKey {
        IdempotencyKey {
            caller: Principal::anonymous(),
            rpc: Rpc::CreateRoom,
            request_id: request_id.to_owned(),
        }
    }

    fn store(clock: &Arc<ManualClock>, capacity: usize) -> InMemory {
        InMemory { capacity, ..InMemory::new(clock.clone(), TaskTracker::new()) }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(UnixMillis::EPOCH))
    }

    async fn create(store: &InMemory, request_id: &str, room: u8) -> Result<FirstResult, IdempotencyError> {
        store.once(key(request_id), [0; 32], async move { Ok(vec![room]) }.boxed()).await
    }

    async fn fail(store: &InMemory, request_id: &str) -> Result<FirstResult, IdempotencyError> {
        let limited = async { Err(Error::RateLimited { retry_after: None }) };
        store.once(key(request_id), [0; 32], limited.boxed()).await
    }

    #[tokio::test]
    async fn a_failure_without_effect_is_not_kept_though_its_caller_did_not_wait_for_it() {
        let store = store(&clock(), CAPACITY);
        let mut call = Box::pin(fail(&store, "1"));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        store.tasks.close();
        store.tasks.wait().await;
        assert_eq!(create(&store, "1", 7).await.unwrap().unwrap(), [7]);
    }

    #[tokio::test]
    async fn failures_without_effect_take_no_space_from_others() {
        let store = store(&clock(), 2);
        for _ in 0..5 {
            fail(&store, "1").await.unwrap().unwrap_err();
        }
        create(&store, "2", 2).await.unwrap().unwrap();
        create(&store, "3", 3).await.unwrap().unwrap();
        assert_eq!(create(&store, "4", 4).await.unwrap_err(), IdempotencyError::Full);
        assert_eq!(create(&store, "2", 9).await.unwrap().unwrap(), [2]);
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_forgets_nothing() {
        let clock = clock();
        let store = store(&clock, CAPACITY);
        create(&store, "1", 1).await.unwrap().unwrap();
        clock.step(3_600_000);
        assert_eq!(create(&store, "1", 2).await.unwrap().unwrap(), [1]);
        clock.advance(RETENTION);
        assert_eq!(create(&store, "1", 3).await.unwrap().unwrap(), [3]);
    }
}
