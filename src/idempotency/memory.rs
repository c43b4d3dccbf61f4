//! Keeps results in this process, in a bounded number of bytes.
//!
//! What it remembers is shared out: one caller's `request_id`s take half of the room at most. Nothing is forgotten
//! before its time; where there is no room for one more, that call is refused. Every operation takes the same time, however
//! much is remembered.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio_util::task::TaskTracker;
use tonic::async_trait;
use tracing::Instrument;

use super::types::{
    Arguments, BOOKKEEPING, FirstResult, IdempotencyError, IdempotencyKey, IdempotencyStore, KeyDigest,
    MOST_DROPPED, RETENTION, Replay, UNDER_WAY, may_have_acted,
};
use crate::{
    clock::Clock,
    shares::{Holder, Share, Shares},
};

/// Keeps results in this process.
pub struct InMemory {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    room: Arc<Shares>,
    calls: Arc<Calls>,
}

#[derive(Default)]
struct Calls(Mutex<FirstCalls>);

#[derive(Default)]
struct FirstCalls {
    by_key: HashMap<KeyDigest, FirstCall>,
    /// By their numbers, so the oldest first.
    in_order: BTreeMap<u64, KeyDigest>,
    next: u64,
}

struct FirstCall {
    number: u64,
    arguments: Arguments,
    /// By the monotonic clock.
    began: Duration,
    result: KnownResult,
    room: Share,
}

#[derive(Clone)]
enum KnownResult {
    UnderWay(PendingResult),
    Ended(Result<Box<[u8]>, Box<crate::whiteboard::Error>>),
}

/// `None`: the act did not end.
type PendingResult = Shared<BoxFuture<'static, Option<FirstResult>>>;

impl InMemory {
    /// `tasks`: owns the acts. `capacity`: how many bytes of results are kept; what a created room takes is some 400.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tasks: TaskTracker, capacity: usize) -> Self {
        Self { clock, tasks, room: Shares::new("request_ids", capacity), calls: Arc::default() }
    }
}

#[async_trait]
impl IdempotencyStore for InMemory {
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<Replay, IdempotencyError> {
        let (known, replayed) = self.find_or_begin(&key, arguments, act)?;
        let result = match known {
            KnownResult::UnderWay(result) => result.await.ok_or(IdempotencyError::Lost)?,
            KnownResult::Ended(result) => result.map(Vec::from).map_err(|error| *error),
        };
        Ok(Replay { result, replayed })
    }

    fn room(&self) -> &Arc<Shares> {
        &self.room
    }

    fn holds_across_replicas(&self) -> bool {
        false
    }
}

impl InMemory {
    /// Also whether an earlier call was found.
    fn find_or_begin(
        &self,
        key: &IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<(KnownResult, bool), IdempotencyError> {
        let (digest, began) = (key.digest(), self.clock.monotonic());
        let mut calls = self.calls.lock();
        calls.drop_expired(began);
        if let Some(first) = calls.by_key.get(&digest).filter(|first| !first.is_over(began)) {
            let same = first.arguments == arguments;
            return if same {
                Ok((first.result.clone(), true))
            } else {
                Err(IdempotencyError::OtherArguments)
            };
        }
        let holder = Holder::Principal(key.caller.as_str());
        let room = self.room.take(holder, UNDER_WAY).map_err(IdempotencyError::NoRoom)?;
        let number = calls.next;
        let remembered = self.calls.clone();
        let act = async move {
            let result = act.await;
            remembered.lock().end(digest, number, &result);
            result
        };
        let result = self.tasks.spawn(act.in_current_span()).map(Result::ok).boxed().shared();
        let result = KnownResult::UnderWay(result);
        calls.next += 1;
        calls.in_order.insert(number, digest);
        calls.by_key.insert(digest, FirstCall { number, arguments, began, result: result.clone(), room });
        Ok((result, false))
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, FirstCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FirstCalls {
    /// Keeps a result, unless it is an error that certainly had no effect: then the next call acts again.
    fn end(&mut self, key: KeyDigest, number: u64, result: &FirstResult) {
        let Some(call) = self.by_key.get_mut(&key).filter(|call| call.number == number) else { return };
        let kept = match result {
            Ok(made) => Ok(made.clone().into_boxed_slice()),
            Err(error) if may_have_acted(error) => Err(error.clone().into()),
            Err(_) => {
                self.by_key.remove(&key);
                self.in_order.remove(&number);
                return;
            }
        };
        call.room.resize(BOOKKEEPING + kept.as_ref().map_or(0, |made| made.len()));
        call.result = KnownResult::Ended(kept);
    }

    /// Some of what is over, so that no call takes long for all of it.
    fn drop_expired(&mut self, now: Duration) {
        for _ in 0..MOST_DROPPED {
            let Some(oldest) = self.in_order.first_entry() else { return };
            let (number, key) = (*oldest.key(), *oldest.get());
            match self.by_key.get(&key) {
                Some(call) if call.number == number && !call.is_over(now) => return,
                Some(call) if call.number == number => drop(self.by_key.remove(&key)),
                // A call with the same key has taken its place.
                _ => {}
            }
            self.in_order.remove(&number);
        }
    }
}

impl FirstCall {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) >= RETENTION
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::{super::types::CAPACITY, *};
    use crate::{
        clock::{ManualClock, UnixMillis},
        methods::Rpc,
        principal::Principal,
        shares::Refused,
        whiteboard::Error,
    };

    fn key(caller: &str, request_id: &str) -> IdempotencyKey {
        let caller = caller.parse().unwrap_or_else(|_| Principal::anonymous());
        IdempotencyKey { caller, rpc: Rpc::CreateRoom, request_id: request_id.to_owned() }
    }

    fn store(clock: &Arc<ManualClock>, capacity: usize) -> InMemory {
        InMemory::new(clock.clone(), TaskTracker::new(), capacity)
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(UnixMillis::EPOCH))
    }

    async fn create(
        store: &InMemory,
        caller: &str,
        id: &str,
        room: u8,
    ) -> Result<FirstResult, IdempotencyError> {
        let act = async move { Ok(vec![room]) }.boxed();
        store.once(key(caller, id), [0; 32], act).await.map(|replay| replay.result)
    }

    async fn fail(store: &InMemory, id: &str) -> Result<FirstResult, IdempotencyError> {
        let limited = async { Err(Error::RateLimited { retry_after: None }) };
        store.once(key("", id), [0; 32], limited.boxed()).await.map(|replay| replay.result)
    }

    #[tokio::test]
    async fn a_failure_without_effect_is_not_kept_though_its_caller_did_not_wait_for_it() {
        let store = store(&clock(), CAPACITY);
        let mut call = Box::pin(fail(&store, "1"));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        store.tasks.close();
        store.tasks.wait().await;
        assert_eq!(create(&store, "", "1", 7).await.unwrap().unwrap(), [7]);
    }

    #[tokio::test]
    async fn failures_without_effect_take_no_room_from_others() {
        let store = store(&clock(), 8 * UNDER_WAY);
        for number in 0..100 {
            fail(&store, &number.to_string()).await.unwrap().unwrap_err();
        }
        let calls = store.calls.lock();
        assert!(calls.by_key.is_empty() && calls.in_order.is_empty());
    }

    #[tokio::test]
    async fn one_caller_fills_half_of_the_room_and_what_is_remembered_is_not_forgotten_for_it() {
        let clock = clock();
        let store = store(&clock, 16 * UNDER_WAY);
        let mut created = 0;
        let refused = loop {
            match create(&store, "key:greedy", &created.to_string(), 1).await {
                Ok(result) => assert_eq!(result.unwrap(), [1]),
                Err(refused) => break refused,
            }
            created += 1;
        };
        let what = "request_ids";
        assert_eq!(refused, IdempotencyError::NoRoom(Refused::OwnShare { what }));
        assert!((8 * UNDER_WAY / (BOOKKEEPING + 1) - 4..=32).contains(&created), "{created}");
        assert_eq!(create(&store, "key:other", "0", 2).await.unwrap().unwrap(), [2]);
        assert_eq!(create(&store, "key:greedy", "0", 3).await.unwrap().unwrap(), [1], "it is remembered");
        clock.advance(RETENTION);
        assert_eq!(create(&store, "key:greedy", "0", 4).await.unwrap().unwrap(), [4]);
        assert_eq!(create(&store, "key:other", "0", 5).await.unwrap().unwrap(), [5]);
        assert_eq!(store.calls.lock().in_order.len(), 2, "all others are forgotten");
    }

    #[tokio::test]
    async fn other_arguments_are_refused_while_the_first_call_is_under_way_and_after_it() {
        let store = store(&clock(), CAPACITY);
        let other = || store.once(key("", "1"), [1; 32], async { Ok(vec![2]) }.boxed());
        let mut first = Box::pin(create(&store, "", "1", 1));
        assert!(poll!(&mut first).is_pending());
        assert_eq!(other().await.unwrap_err(), IdempotencyError::OtherArguments);
        assert_eq!(first.await.unwrap().unwrap(), [1]);
        assert_eq!(other().await.unwrap_err(), IdempotencyError::OtherArguments);
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_forgets_nothing() {
        let clock = clock();
        let store = store(&clock, CAPACITY);
        create(&store, "", "1", 1).await.unwrap().unwrap();
        clock.step(3_600_000);
        assert_eq!(create(&store, "", "1", 2).await.unwrap().unwrap(), [1]);
        clock.advance(RETENTION);
        assert_eq!(create(&store, "", "1", 3).await.unwrap().unwrap(), [3]);
    }
}
