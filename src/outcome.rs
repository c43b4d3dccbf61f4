//! What a `request_id` led to, so that a repeated call has the first one's outcome.
//!
//! What is kept is the outcome, never a token. This store lives in one process; it stands behind a
//! trait, so that replicas can share one.

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
    clock::{Clock, UnixMillis},
    whiteboard::{Effect, Error},
};

/// How long an outcome is kept.
const KEPT: Duration = Duration::from_mins(10);

/// How many outcomes are kept at most.
const CAPACITY: usize = 100_000;

/// Whose request it is. The id is compared as it was written, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who calls.
    pub caller: String,
    /// The RPC.
    pub rpc: &'static str,
    /// The caller's id for the request.
    pub request_id: String,
}

/// SHA-256 of a request's other arguments.
pub type Arguments = [u8; 32];

/// What was created, encoded, or why it was not.
pub type Outcome = Result<Vec<u8>, Error>;

/// Why a store gives no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id was used with other arguments.
    OtherArguments,
    /// Too many outcomes are kept already.
    Full,
    /// The act ended without an outcome.
    Lost,
}

/// Keeps outcomes for ten minutes.
#[async_trait]
pub trait Outcomes: Send + Sync + 'static {
    /// Acts, unless the same was asked before: then waits for that, or gives what it led to. Once
    /// begun, an act goes on even if its caller leaves.
    ///
    /// An act that surely had no effect is not kept: the next call acts anew.
    async fn once(
        &self,
        key: Key,
        arguments: Arguments,
        act: BoxFuture<'static, Outcome>,
    ) -> Result<Outcome, Refusal>;
}

/// Keeps outcomes in this process.
pub struct InMemory {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// The oldest first.
    order: VecDeque<(UnixMillis, Key)>,
}

struct Entry {
    arguments: Arguments,
    began: UnixMillis,
    /// `None`: the act ended without an outcome.
    outcome: Shared<BoxFuture<'static, Option<Outcome>>>,
}

impl InMemory {
    /// `tasks`: owns the acts.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self { clock, tasks, state: Mutex::default() }
    }
}

#[async_trait]
impl Outcomes for InMemory {
    async fn once(
        &self,
        key: Key,
        arguments: Arguments,
        act: BoxFuture<'static, Outcome>,
    ) -> Result<Outcome, Refusal> {
        let outcome = {
            let now = self.clock.now();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.forget_before(now);
            match state.entries.get(&key).filter(|entry| entry.counts()) {
                Some(entry) if entry.arguments != arguments => return Err(Refusal::OtherArguments),
                Some(entry) => entry.outcome.clone(),
                None if state.order.len() >= CAPACITY => return Err(Refusal::Full),
                None => {
                    let outcome = self.tasks.spawn(act.in_current_span()).map(Result::ok).boxed().shared();
                    state.order.push_back((now, key.clone()));
                    state.entries.insert(key, Entry { arguments, began: now, outcome: outcome.clone() });
                    outcome
                }
            }
        };
        outcome.await.ok_or(Refusal::Lost)
    }
}

impl State {
    fn forget_before(&mut self, now: UnixMillis) {
        while let Some((began, key)) = self.order.front() {
            if now.saturating_since(*began) < KEPT {
                return;
            }
            // A key that acted anew since has a younger entry.
            if self.entries.get(key).is_some_and(|entry| entry.began == *began) {
                self.entries.remove(key);
            }
            self.order.pop_front();
        }
    }
}

impl Entry {
    /// Whether it is under way, or had an effect that must not be repeated.
    fn counts(&self) -> bool {
        // Not by `peek`, which knows nothing of an act whose callers all left.
        match self.outcome.clone().now_or_never() {
            Some(Some(Err(error))) => may_have_acted(&error),
            // One that broke off may have been sent.
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
    use crate::clock::ManualClock;

    fn key() -> Key {
        Key { caller: String::new(), rpc: "CreateRoom", request_id: "1".to_owned() }
    }

    #[tokio::test]
    async fn a_failure_without_effect_is_not_kept_though_its_caller_did_not_wait_for_it() {
        let tasks = TaskTracker::new();
        let outcomes = InMemory::new(Arc::new(ManualClock::new(UnixMillis::EPOCH)), tasks.clone());
        let fails = async { Err(Error::RateLimited { retry_after: None }) }.boxed();
        let mut call = outcomes.once(key(), [0; 32], fails);
        assert!(poll!(&mut call).is_pending());
        drop(call);
        tasks.close();
        tasks.wait().await;
        let created = outcomes.once(key(), [0; 32], async { Ok(vec![7]) }.boxed()).await;
        assert_eq!(created.unwrap().unwrap(), [7]);
    }
}
