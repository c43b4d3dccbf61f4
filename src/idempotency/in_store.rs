//! Keeps results in a store that replicas share, so that a `request_id` holds on all of them.
//!
//! What is done there, and in which order, is `claim.rs`'s; the messages are `exchange.rs`'s. Here is what one replica does
//! once for several calls, and what a call is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::async_trait;
use tracing::{Instrument, Level};

use super::{
    claim::{Attempt, End, Outcome},
    exchange::{Ended, Exchange},
    room::Room,
    types::{
        Arguments, BOOKKEEPING, FirstResult, IdempotencyError, IdempotencyKey, IdempotencyStore, KeyDigest,
        RETENTION, Replay, may_have_acted,
    },
};
use crate::{
    clock::Clock,
    entropy::Entropy,
    shares::{Share, Shares},
    store::Store,
    telemetry::ClaimOutcome,
    token::Sealer,
    whiteboard::Error,
};

/// Keeps results in a store that replicas share.
pub struct InStore {
    inner: Arc<Inner>,
    tasks: TaskTracker,
    under_way: Arc<UnderWay>,
}

struct Inner {
    exchange: Exchange,
    entropy: Arc<dyn Entropy>,
    room: Room,
}

/// This replica's calls with an id, so that those that arrive together are one at the store.
type UnderWay = Mutex<HashMap<KeyDigest, (Arguments, Pending)>>;

type Pending = Shared<BoxFuture<'static, Option<Result<Replay, IdempotencyError>>>>;

/// A call under way, or whose outcome is still to be written: it is none any more when this is dropped, however it ended.
struct Entered(Arc<UnderWay>, KeyDigest);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl InStore {
    /// `tasks` owns the acts, and what is still to be written when they have ended, until `stopping`.
    #[must_use]
    pub fn new(
        store: Store,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: TaskTracker,
        stopping: CancellationToken,
        capacity: usize,
    ) -> Self {
        let (exchange, room) = (Exchange { store, sealer, stopping }, Room::new(clock, capacity));
        Self { inner: Arc::new(Inner { exchange, entropy, room }), tasks, under_way: Arc::default() }
    }
}

#[async_trait]
impl IdempotencyStore for InStore {
    async fn once(
        &self,
        key: IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<Replay, IdempotencyError> {
        let (pending, is_first) = self.join_or_begin(&key, arguments, act)?;
        let Replay { result, replayed } = pending.await.ok_or(IdempotencyError::Lost)??;
        Ok(Replay { result, replayed: replayed || !is_first })
    }

    fn room(&self) -> &Arc<Shares> {
        self.inner.room.shares()
    }

    fn holds_across_replicas(&self) -> bool {
        true
    }
}

impl InStore {
    /// Also whether the call is this replica's first one under way.
    fn join_or_begin(
        &self,
        key: &IdempotencyKey,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
    ) -> Result<(Pending, bool), IdempotencyError> {
        let digest = key.digest();
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((first, pending)) = under_way.get(&digest) {
            let joined = (*first == arguments).then(|| (pending.clone(), false));
            return joined.ok_or(IdempotencyError::OtherArguments);
        }
        let share = self.inner.room.take(key.caller.as_str()).map_err(IdempotencyError::NoRoom)?;
        let (inner, tasks) = (self.inner.clone(), self.tasks.clone());
        let entered = Entered(self.under_way.clone(), digest);
        let call = async move { inner.run(entered, arguments, act, share, &tasks).await };
        let pending = self.tasks.spawn(call.in_current_span()).map(Result::ok).boxed().shared();
        under_way.insert(digest, (arguments, pending.clone()));
        Ok((pending, true))
    }
}

impl Inner {
    async fn run(
        self: Arc<Self>,
        entered: Entered,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
        mut share: Share,
        tasks: &TaskTracker,
    ) -> Result<Replay, IdempotencyError> {
        let key = entered.1;
        let mut attempt = Attempt::new(self.entropy.bytes(), arguments);
        if let Err(ended) = self.exchange.claim(key, &mut attempt).await {
            let was_sent = matches!(ended, Ended::Unavailable { was_sent: true });
            let answer = self.end(ended);
            if was_sent {
                let taking_back = async move { self.exchange.take_back(key, attempt, share).await };
                tasks.spawn(taking_back.in_current_span());
            }
            return answer;
        }
        let result = act.await;
        self.exchange.store.metrics().claim(ClaimOutcome::Claimed);
        let outcome = match &result {
            Ok(made) => Some(Outcome::Made(made.clone())),
            Err(error) if may_have_acted(error) => Some(Outcome::Unknown),
            Err(_) => None,
        };
        share.resize(BOOKKEEPING + result.as_ref().map_or(0, Vec::len));
        let is_kept = outcome.is_some();
        let swap = attempt.outcome(outcome);
        if let Some(rest) = self.exchange.leave(key, swap).await {
            if self.exchange.store.log().has_line((Level::WARN, "outcome_unwritten"), 1) {
                tracing::warn!("the store is away, so an outcome is written when it is back");
            }
            let inner = self.clone();
            // This replica tells it until then: the store may have lost all when it is back.
            let told_meanwhile = is_kept.then_some(entered);
            let leaving = async move {
                inner.exchange.leave_until_it_works(key, rest, RETENTION).await;
                drop(told_meanwhile);
            };
            tasks.spawn(leaving.in_current_span());
        }
        if is_kept {
            self.room.keep(share);
        }
        Ok(Replay { result, replayed: false })
    }

    fn end(&self, ended: Ended) -> Result<Replay, IdempotencyError> {
        let replay = |result| Ok(Replay { result, replayed: true });
        let (outcome, answer) = match ended {
            Ended::Here(End::Replay(Outcome::Made(made))) => (ClaimOutcome::Replayed, replay(Ok(made))),
            Ended::Here(End::Replay(Outcome::Unknown)) => {
                let detail = "an earlier call with this request_id gave no usable answer".to_owned();
                (ClaimOutcome::Replayed, replay(Err(Error::OutcomeUnknown { detail })))
            }
            Ended::Here(End::OtherArguments) => {
                (ClaimOutcome::OtherArguments, Err(IdempotencyError::OtherArguments))
            }
            Ended::Here(End::OutcomeLost) => (ClaimOutcome::OutcomeLost, Err(IdempotencyError::Lost)),
            Ended::Here(End::Unavailable) | Ended::Unavailable { .. } => {
                (ClaimOutcome::Unavailable, Err(IdempotencyError::Unavailable))
            }
            Ended::Forged => (ClaimOutcome::Forged, Err(IdempotencyError::Unavailable)),
        };
        self.exchange.store.metrics().claim(outcome);
        answer
    }
}
