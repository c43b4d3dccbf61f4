//! A poller's state, and its subscriptions.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    principal::Principal,
    whiteboard::{Conversion, Error},
};

/// Polls one conversion.
#[derive(Default)]
pub(super) struct Poller {
    pub(super) state: watch::Sender<PollState>,
    /// Requests a read before the pause is over.
    pub(super) wake: Notify,
    /// When the last subscription began.
    pub(super) subscribed_at: Mutex<Option<Instant>>,
    /// Who watched first: its reads are of that caller's share. `None`: it has begun nowhere.
    pub(super) caller: Option<Principal>,
}

/// Why a watch ends before its conversion does.
#[derive(Clone, Debug)]
pub enum WatchError {
    /// The upstream failed.
    Upstream(Error),
    /// Its key was revoked, or only verifies now.
    KeyReplaced,
}

/// The results of a poller's reads.
#[derive(Default)]
pub(super) struct PollState {
    reads: u64,
    pub(super) read_at: Option<Instant>,
    /// Counts published changes; 0: none yet.
    changes: u64,
    last: Option<Result<Conversion, WatchError>>,
}

impl Poller {
    /// A subscription that begins with the last read if that is at most `fresh` old, or with the next.
    pub(super) fn subscribe(&self, fresh: Duration) -> Subscription {
        *self.subscribed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let state = self.state.subscribe();
        let (reads, is_fresh) = {
            let state = state.borrow();
            let is_fresh = state.read_at.is_some_and(|at| at.elapsed() <= fresh || state.is_last());
            (state.reads, is_fresh)
        };
        if !is_fresh {
            self.wake.notify_one();
        }
        Subscription { state, reads_awaited: reads + u64::from(!is_fresh), seen: 0, is_over: false }
    }

    /// Publishes a read if it is a change; whether it is.
    pub(super) fn publish(&self, read: Result<Conversion, WatchError>) -> bool {
        let mut has_changed = false;
        self.state.send_modify(|state| {
            state.reads += 1;
            state.read_at = Some(Instant::now());
            has_changed = match (&state.last, &read) {
                (Some(Ok(before)), Ok(now)) => before != now,
                (Some(_), Err(error)) => !is_transient(error),
                (None, _) | (Some(Err(_)), Ok(_)) => true,
            };
            if has_changed {
                state.changes += 1;
                state.last = Some(read);
            }
        });
        has_changed
    }
}

impl PollState {
    pub(super) fn is_last(&self) -> bool {
        self.last.as_ref().is_some_and(is_last)
    }
}

/// One watch of a conversion.
pub struct Subscription {
    state: watch::Receiver<PollState>,
    /// Nothing is given before so many reads.
    reads_awaited: u64,
    /// The last change that was given.
    seen: u64,
    is_over: bool,
}

impl Subscription {
    /// The current conversion first, then each change. `None` after the final state or an error.
    pub async fn next(&mut self) -> Option<Result<Conversion, WatchError>> {
        while !self.is_over {
            if let Some(change) = self.next_change() {
                self.is_over = is_last(&change);
                return Some(change);
            }
            if self.state.changed().await.is_err() {
                self.is_over = true;
                let error = Error::Unreachable { detail: "the poller ended".to_owned() };
                return Some(Err(WatchError::Upstream(error)));
            }
        }
        None
    }

    fn next_change(&mut self) -> Option<Result<Conversion, WatchError>> {
        let state = self.state.borrow_and_update();
        if state.reads < self.reads_awaited || state.changes == self.seen {
            return None;
        }
        self.seen = state.changes;
        state.last.clone()
    }
}

/// Whether it is an upstream error that does not end a watch that has begun.
fn is_transient(error: &WatchError) -> bool {
    use Error::{CircuitOpen, NoShare, Paused, RateLimited, UnexpectedAnswer, Unreachable};
    let WatchError::Upstream(error) = error else { return false };
    matches!(
        error,
        Unreachable { .. }
            | Paused { .. }
            | CircuitOpen { .. }
            | RateLimited { .. }
            | UnexpectedAnswer { .. }
            | NoShare(_)
    )
}

fn is_last(read: &Result<Conversion, WatchError>) -> bool {
    read.as_ref().map_or(true, |conversion| conversion.known_status().is_final())
}
