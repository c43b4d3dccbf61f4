//! Keeps results in a store that replicas share, so that a `request_id` holds on all of them.
//!
//! What is done there, and in which order, is `claim.rs`'s; here are the messages, their limits of time, and what one
//! replica does once for several calls. What this replica has the store keep is shared out among callers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::async_trait;
use tracing::Instrument;

use super::{
    Arguments, BOOKKEEPING, CAPACITY, FirstResult, IdempotencyError, IdempotencyKey, IdempotencyStore,
    KeyDigest, MOST_DROPPED, RETENTION, Replay, UNDER_WAY,
    claim::{Answer, Attempt, End, Outcome, Step, Swap},
    may_have_acted, seal,
};
use crate::{
    clock::Clock,
    entropy::Entropy,
    hex,
    shares::{Holder, Share, Shares},
    store::{self, Store, Swapped},
    telemetry::ClaimOutcome,
    token::Sealer,
    whiteboard::Error,
};

/// Before every key. Another layout of keys or another meaning of values has another number.
const PREFIX: &str = "inkpass:1:";

/// The pause before the store is asked again whether another call has ended: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause of what waits for the store to be back.
const LONGEST_ABSENCE: Duration = Duration::from_secs(1);

/// How long a claim that was given up is to be taken back. It is taken over sooner.
const TAKES_BACK: Duration = Duration::from_secs(30);

/// Keeps results in a store that replicas share.
pub struct InStore {
    inner: Arc<Inner>,
    tasks: TaskTracker,
    under_way: Arc<UnderWay>,
}

struct Inner {
    store: Store,
    sealer: Sealer,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    room: Arc<Shares>,
    /// What the store keeps for this replica, the oldest first, by the monotonic clock.
    kept: Mutex<VecDeque<(Duration, Share)>>,
}

/// This replica's calls with an id, so that those that arrive together are one at the store.
type UnderWay = Mutex<HashMap<KeyDigest, (Arguments, Pending)>>;

type Pending = Shared<BoxFuture<'static, Option<Result<Replay, IdempotencyError>>>>;

/// A call under way: it is none any more when this is dropped, however it ended.
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
    ) -> Self {
        let (room, kept) = (Shares::new("request_ids", CAPACITY), Mutex::default());
        let inner = Arc::new(Inner { store, sealer, entropy, clock, stopping, room, kept });
        Self { inner, tasks, under_way: Arc::default() }
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
        let share = self.inner.take_room(key.caller.as_str())?;
        let (inner, tasks) = (self.inner.clone(), self.tasks.clone());
        let entered = Entered(self.under_way.clone(), digest);
        let call = async move {
            let _entered = entered;
            inner.run(digest, arguments, act, share, &tasks).await
        };
        let pending = self.tasks.spawn(call.in_current_span()).map(Result::ok).boxed().shared();
        under_way.insert(digest, (arguments, pending.clone()));
        Ok((pending, true))
    }
}

impl Inner {
    fn take_room(&self, caller: &str) -> Result<Share, IdempotencyError> {
        let now = self.clock.monotonic();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..MOST_DROPPED {
            let is_over = |(began, _): &(Duration, Share)| now.saturating_sub(*began) >= RETENTION;
            if kept.front().is_none_or(|oldest| !is_over(oldest)) {
                break;
            }
            kept.pop_front();
        }
        self.room.take(Holder::Principal(caller), UNDER_WAY).map_err(IdempotencyError::NoRoom)
    }

    fn keep(&self, share: Share) {
        let now = self.clock.monotonic();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push_back((now, share));
    }

    async fn run(
        self: Arc<Self>,
        key: KeyDigest,
        arguments: Arguments,
        act: BoxFuture<'static, FirstResult>,
        mut share: Share,
        tasks: &TaskTracker,
    ) -> Result<Replay, IdempotencyError> {
        let mut attempt = Attempt::new(self.entropy.bytes(), arguments);
        if let Err(ended) = self.claim(key, &mut attempt).await {
            if matches!(ended, Ended::Unavailable { was_sent: true }) {
                tasks.spawn(self.clone().take_back(key, attempt, share).in_current_span());
            }
            return self.end(ended);
        }
        let result = act.await;
        self.store.metrics().claim(ClaimOutcome::Claimed);
        let outcome = match &result {
            Ok(made) => Some(Outcome::Made(made.clone())),
            Err(error) if may_have_acted(error) => Some(Outcome::Unknown),
            Err(_) => None,
        };
        share.resize(BOOKKEEPING + result.as_ref().map_or(0, Vec::len));
        let is_kept = outcome.is_some();
        let swap = attempt.outcome(outcome);
        if let Some(rest) = self.leave(key, swap).await {
            tracing::warn!("the store is away, so an outcome is written when it is back");
            let inner = self.clone();
            let leaving = async move { inner.leave_until_it_works(key, rest, RETENTION).await };
            tasks.spawn(leaving.in_current_span());
        }
        if is_kept {
            self.keep(share);
        }
        Ok(Replay { result, replayed: false })
    }

    /// Gets to where the POST may be sent, and by this call alone.
    async fn claim(&self, key: KeyDigest, attempt: &mut Attempt) -> Result<(), Ended> {
        let (mut until, mut pause) = (Instant::now() + store::LIMIT, FIRST_PAUSE);
        let mut was_sent = false;
        let mut step = attempt.begin();
        loop {
            let swap = match step {
                Step::Ask(swap) => swap,
                Step::Wait(swap) => {
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                    until = Instant::now() + store::LIMIT;
                    swap
                }
                Step::Send => return Ok(()),
                Step::End(End::Unavailable) => return Err(Ended::Unavailable { was_sent }),
                Step::End(end) => return Err(Ended::Here(end)),
            };
            step = match self.ask(key, &swap, true, until).await {
                Ok(answer) => attempt.next(answer),
                Err(Unanswered::Forged) => return Err(Ended::Forged),
                Err(Unanswered::NotSent) => return Err(Ended::Unavailable { was_sent }),
                Err(Unanswered::Lost) => attempt.next(Answer::Lost),
            };
            was_sent = true;
        }
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
        self.store.metrics().claim(outcome);
        answer
    }

    /// Removes what may be there of a call that was refused.
    async fn take_back(self: Arc<Self>, key: KeyDigest, attempt: Attempt, _room: Share) {
        for swap in attempt.abandon() {
            self.leave_until_it_works(key, swap, TAKES_BACK).await;
        }
    }

    /// Asks once. What is still to be asked, where the store does not answer.
    async fn leave(&self, key: KeyDigest, swap: Swap) -> Option<Swap> {
        let mut next = swap;
        loop {
            let answer = self.ask(key, &next, false, Instant::now() + store::LIMIT).await;
            match answer {
                Ok(Answer::Lost) | Err(Unanswered::NotSent | Unanswered::Lost) => return Some(next),
                Ok(Answer::Found(found, _)) => next = Attempt::outcome_again(next, found.as_ref())?,
                Ok(Answer::Swapped) | Err(Unanswered::Forged) => return None,
            }
        }
    }

    /// Asks until the store answers, for so long.
    async fn leave_until_it_works(&self, key: KeyDigest, swap: Swap, longest: Duration) {
        let (mut next, mut pause) = (swap, FIRST_PAUSE);
        let ends = Instant::now() + longest;
        self.store.metrics().add_unwritten(1);
        while let Some(rest) = self.leave(key, next).await {
            next = rest;
            if self.stopping.is_cancelled() || Instant::now() >= ends {
                tracing::warn!("an outcome could not be written to the store");
                break;
            }
            // At a stop it is tried once more.
            self.stopping.run_until_cancelled(sleep(pause)).await;
            pause = LONGEST_ABSENCE.min(pause * 2);
        }
        self.store.metrics().add_unwritten(-1);
    }

    async fn ask(
        &self,
        digest: KeyDigest,
        swap: &Swap,
        replicated: bool,
        until: Instant,
    ) -> Result<Answer, Unanswered> {
        let key = format!("{PREFIX}{}", hex::encode(&digest));
        let sealed = |entry: &Option<_>| {
            entry.as_ref().map(|entry| seal::seal(&self.sealer, digest, entry)).unwrap_or_default()
        };
        let (from, to) = (sealed(&swap.from), sealed(&swap.to));
        let swap = store::Swap { key: &key, from: &from, to: &to, keep: RETENTION, replicated };
        let (held, ends_in) = match self.store.swap(swap, until).await {
            Ok(Swapped::Yes) => return Ok(Answer::Swapped),
            Ok(Swapped::No { held, ends_in }) => (held, ends_in),
            Err(store::Unavailable { was_sent: false }) => return Err(Unanswered::NotSent),
            Err(store::Unavailable { was_sent: true }) => return Err(Unanswered::Lost),
        };
        if held.is_empty() {
            return Ok(Answer::Found(None, Duration::ZERO));
        }
        // What has no end was not left so by a replica: it is as old as anything.
        let age = ends_in.map_or(RETENTION, |ends_in| RETENTION.saturating_sub(ends_in));
        let opened = seal::open(&self.sealer, digest, &held).map_err(|seal::Forged| {
            tracing::error!(key, "the store holds what no replica with this salt wrote; it is not believed");
            Unanswered::Forged
        });
        opened.map(|entry| Answer::Found(Some(entry), age))
    }
}

/// Why nothing was sent.
enum Ended {
    Here(End),
    /// The store does not answer.
    Unavailable {
        /// Whether something may be there to take back.
        was_sent: bool,
    },
    /// The store holds what does not verify.
    Forged,
}

/// Why the store says nothing.
enum Unanswered {
    NotSent,
    /// Nobody knows what became of the message.
    Lost,
    /// It holds what does not verify.
    Forged,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, UnixMillis},
        entropy::CountingEntropy,
        methods::all_methods,
        shares::Refused,
        store::Address,
        telemetry::Metrics,
        token::Fingerprinter,
    };

    /// With room for so many calls. Its store is nowhere, and is not asked.
    fn inner(calls: usize, clock: &Arc<ManualClock>) -> Inner {
        let metrics = Metrics::new(all_methods()).unwrap().store().clone();
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let address = Address::parse("redis://127.0.0.1:1").unwrap();
        Inner {
            store: Store::new(address, metrics, tasks, stopping.clone()),
            sealer: Fingerprinter::new(b"salt").sealer("request_ids"),
            entropy: Arc::new(CountingEntropy::default()),
            clock: clock.clone(),
            stopping,
            room: Shares::new("request_ids", calls * UNDER_WAY),
            kept: Mutex::default(),
        }
    }

    /// Has the store keep as much as a caller may.
    fn fill(inner: &Inner, caller: &str) -> (usize, IdempotencyError) {
        for count in 0.. {
            match inner.take_room(caller) {
                Ok(share) => inner.keep(share),
                Err(refused) => return (count, refused),
            }
        }
        unreachable!("there is an end")
    }

    #[test]
    fn one_caller_has_the_store_keep_half_of_a_replica_s_part_for_ten_minutes() {
        let clock = Arc::new(ManualClock::new(UnixMillis::EPOCH));
        let inner = inner(16, &clock);
        let what = "request_ids";
        assert_eq!(fill(&inner, "key:greedy"), (8, IdempotencyError::NoRoom(Refused::OwnShare { what })));
        assert!(fill(&inner, "key:other").0 > 0);
        clock.advance(Duration::from_secs(599));
        assert_eq!(fill(&inner, "key:greedy").0, 0, "it is kept");
        clock.advance(Duration::from_secs(1));
        assert_eq!(fill(&inner, "key:greedy").0, 8);
    }
}
