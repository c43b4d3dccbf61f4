//! What a poller has seen, and how its watches are told.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::whiteboard::{Conversion, Error};

/// Reads one conversion, again and again.
#[derive(Default)]
pub(super) struct Poller {
    pub(super) known: watch::Sender<Known>,
    /// Asks for a read before the pause is over.
    pub(super) wake: Notify,
    /// When the last watch began.
    pub(super) joined_at: Mutex<Option<Instant>>,
}

/// Why a watch ends before its conversion does.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The upstream gave nothing.
    Upstream(Error),
    /// The key that it was watched with signs no more.
    KeyReplaced,
}

/// What a poller has seen.
#[derive(Default)]
pub(super) struct Known {
    reads: u64,
    pub(super) read_at: Option<Instant>,
    /// Counts what is told to the watches; 0: nothing yet.
    changes: u64,
    state: Option<Result<Conversion, Failure>>,
}

impl Poller {
    /// What was read a moment ago is told at once; what is older is read anew.
    pub(super) fn watch(&self, fresh: Duration) -> Watch {
        *self.joined_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let known = self.known.subscribe();
        let (reads, is_fresh) = {
            let known = known.borrow();
            let is_fresh = known.read_at.is_some_and(|at| at.elapsed() <= fresh || known.is_last());
            (known.reads, is_fresh)
        };
        if !is_fresh {
            self.wake.notify_one();
        }
        Watch { known, reads_awaited: if is_fresh { reads } else { reads + 1 }, told: 0, is_over: false }
    }

    /// Tells the watches what is new to them; whether anything was.
    pub(super) fn tell(&self, read: Result<Conversion, Failure>) -> bool {
        let mut moved = false;
        self.known.send_modify(|known| {
            known.reads += 1;
            known.read_at = Some(Instant::now());
            moved = match (&known.state, &read) {
                (Some(Ok(before)), Ok(now)) => before != now,
                (Some(_), Err(error)) => !may_pass(error),
                (None, _) | (Some(Err(_)), Ok(_)) => true,
            };
            if moved {
                known.changes += 1;
                known.state = Some(read);
            }
        });
        moved
    }
}

impl Known {
    pub(super) fn is_last(&self) -> bool {
        self.state.as_ref().is_some_and(is_last)
    }
}

/// One watch of a conversion.
pub struct Watch {
    known: watch::Receiver<Known>,
    /// Nothing is told before so many reads.
    reads_awaited: u64,
    /// The change that was told last.
    told: u64,
    is_over: bool,
}

impl Watch {
    /// The conversion as it is, at first; then each change. `None` after the last, or after an
    /// error, which is final.
    pub async fn next(&mut self) -> Option<Result<Conversion, Failure>> {
        while !self.is_over {
            if let Some(state) = self.news() {
                self.is_over = is_last(&state);
                return Some(state);
            }
            if self.known.changed().await.is_err() {
                self.is_over = true;
                let error = Error::Unreachable { detail: "the poller ended".to_owned() };
                return Some(Err(Failure::Upstream(error)));
            }
        }
        None
    }

    fn news(&mut self) -> Option<Result<Conversion, Failure>> {
        let known = self.known.borrow_and_update();
        if known.reads < self.reads_awaited || known.changes == self.told {
            return None;
        }
        self.told = known.changes;
        known.state.clone()
    }
}

/// A hiccup of the upstream, which does not end a watch that has begun.
fn may_pass(failure: &Failure) -> bool {
    use Error::{RateLimited, UnexpectedAnswer, Unreachable};
    matches!(failure, Failure::Upstream(Unreachable { .. } | RateLimited { .. } | UnexpectedAnswer { .. }))
}

fn is_last(state: &Result<Conversion, Failure>) -> bool {
    state.as_ref().map_or(true, |conversion| conversion.known_status().is_final())
}
