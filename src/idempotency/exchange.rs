//! The messages of one call to the store, each within its limit of time, in the order that `claim.rs` says.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{
    claim::{Answer, Attempt, End, Step, Swap},
    seal,
    types::{KeyDigest, RETENTION},
};
use crate::{
    hex,
    shares::Share,
    store::{self, Store, Swapped},
    token::Sealer,
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

/// Speaks with the store.
pub(super) struct Exchange {
    pub(super) store: Store,
    pub(super) sealer: Sealer,
    pub(super) stopping: CancellationToken,
}

/// Why nothing was sent.
pub(super) enum Ended {
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

impl Exchange {
    /// Gets to where the POST may be sent, and by this call alone.
    pub(super) async fn claim(&self, key: KeyDigest, attempt: &mut Attempt) -> Result<(), Ended> {
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

    /// Removes what may be there of a call that was refused.
    pub(super) async fn take_back(&self, key: KeyDigest, attempt: Attempt, _room: Share) {
        for swap in attempt.abandon() {
            self.leave_until_it_works(key, swap, TAKES_BACK).await;
        }
    }

    /// Asks once. What is still to be asked, where the store does not answer.
    pub(super) async fn leave(&self, key: KeyDigest, swap: Swap) -> Option<Swap> {
        let mut next = swap;
        loop {
            let answer = self.ask(key, &next, false, Instant::now() + store::LIMIT).await;
            match answer {
                Ok(Answer::Lost) | Err(Unanswered::NotSent | Unanswered::Lost) => return Some(next),
                Ok(Answer::Found(found, _)) => next = Attempt::outcome_again(next, found)?,
                Ok(Answer::Swapped) | Err(Unanswered::Forged) => return None,
            }
        }
    }

    /// Asks until the store answers, for so long.
    pub(super) async fn leave_until_it_works(&self, key: KeyDigest, swap: Swap, longest: Duration) {
        let (mut next, mut pause) = (swap, FIRST_PAUSE);
        let ends = Instant::now() + longest;
        self.store.metrics().add_unwritten(1);
        while let Some(rest) = self.leave(key, next).await {
            next = rest;
            if self.stopping.is_cancelled() || Instant::now() >= ends {
                if self.store.log().has_line((Level::WARN, "outcome_given_up"), 1) {
                    tracing::warn!("an outcome could not be written to the store");
                }
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
            if self.store.log().has_line((Level::ERROR, "forged"), 1) {
                tracing::error!(
                    key,
                    "the store holds what no replica with this salt wrote; it is not believed"
                );
            }
            Unanswered::Forged
        });
        opened.map(|entry| Answer::Found(Some(entry), age))
    }
}
