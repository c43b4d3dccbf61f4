//! What one call does about its `request_id` at a store that replicas share: a state machine without I/O.
//!
//! The store has one operation, compare and swap, which answers with what it holds where that is something else. A call
//! claims the id, says that it sends, right before it does, and leaves its outcome. Each state is entered by a swap from
//! the one before, so that of two owners one at most gets to `Sending`, whoever was slow, broke off or was not heard.

use std::time::Duration;

use super::types::Arguments;

/// How old a claim may be before another call takes it over: its owner broke off, or is told so by its next swap.
const CLAIM_ENDS: Duration = Duration::from_secs(5);

/// How old it may be once its owner sends. A call of the whiteboard API ends sooner, so its outcome was lost.
const SENDING_ENDS: Duration = Duration::from_secs(20);

/// Names an attempt: random.
pub(super) type Owner = [u8; 16];

/// What the store holds for a `request_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The attempt that wrote it.
    pub(super) owner: Owner,
    /// The call's other arguments.
    pub(super) arguments: Arguments,
    pub(super) state: State,
}

/// How far its call is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// It has sent nothing.
    Claimed,
    /// It may have sent its POST.
    Sending,
    /// It has ended.
    Done(Outcome),
}

/// How a call ended that may have acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// What it created, encoded.
    Made(Vec<u8>),
    /// Nobody knows.
    Unknown,
}

/// What the store is asked: to hold `to` if it holds `from`. `None`: nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Swap {
    pub(super) from: Option<Entry>,
    pub(super) to: Option<Entry>,
}

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// It holds `to` now, and so does a replica of the store where there is one.
    Swapped,
    /// It holds this, of that age, and has changed nothing.
    Found(Option<Entry>, Duration),
    /// Nobody knows whether it swapped.
    Lost,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Ask the store at once.
    Ask(Swap),
    /// Ask it after a pause: another call is under way.
    Wait(Swap),
    /// Send the POST, then ask for [`Attempt::outcome`].
    Send,
    /// Nothing: the call has its answer, and sends nothing.
    End(End),
}

/// How an attempt ends that sends nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// An earlier call's outcome.
    Replay(Outcome),
    /// The id was used with other arguments.
    OtherArguments,
    /// An earlier call may have acted, and its outcome is lost.
    OutcomeLost,
    /// The store does not answer. [`Attempt::abandon`] is what to take back.
    Unavailable,
}

/// One call's attempt to act.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    owner: Owner,
    arguments: Arguments,
    /// Whether the claim is its own, as far as it knows.
    is_owner: bool,
}

impl Attempt {
    /// `owner`: of this attempt alone.
    pub(super) const fn new(owner: Owner, arguments: Arguments) -> Self {
        Self { owner, arguments, is_owner: false }
    }

    /// The first step.
    pub(super) fn begin(&self) -> Step {
        Step::Ask(self.claim(None))
    }

    /// The step after the last one's answer.
    pub(super) fn next(&mut self, answer: Answer) -> Step {
        let (found, age) = match answer {
            Answer::Lost => return Step::End(End::Unavailable),
            Answer::Swapped if self.is_owner => return Step::Send,
            Answer::Swapped => {
                self.is_owner = true;
                return Step::Ask(self.swap(State::Claimed, State::Sending));
            }
            Answer::Found(found, age) => (found, age),
        };
        self.is_owner = false;
        let Some(entry) = found else { return Step::Ask(self.claim(None)) };
        if entry.arguments != self.arguments {
            return Step::End(End::OtherArguments);
        }
        match entry.state {
            State::Done(outcome) => Step::End(End::Replay(outcome)),
            State::Claimed if age >= CLAIM_ENDS => Step::Ask(self.claim(Some(entry))),
            State::Sending if age >= SENDING_ENDS => Step::End(End::OutcomeLost),
            State::Claimed | State::Sending => Step::Wait(self.claim(None)),
        }
    }

    /// What to ask once it has sent: `None`, it surely had no effect.
    pub(super) fn outcome(&self, outcome: Option<Outcome>) -> Swap {
        let to = outcome.map(|outcome| self.entry(State::Done(outcome)));
        Swap { from: Some(self.entry(State::Sending)), to }
    }

    /// What to ask where the store does not hold what the outcome follows: it has forgotten that the call sends, and whoever
    /// has claimed the id since has sent nothing.
    pub(super) fn outcome_again(outcome: Swap, found: Option<Entry>) -> Option<Swap> {
        let is_free = found.as_ref().is_none_or(|entry| entry.state == State::Claimed);
        (is_free && outcome.to.is_some()).then_some(Swap { from: found, to: outcome.to })
    }

    /// What to ask, one after the other, where the store did not answer before anything was sent.
    pub(super) fn abandon(&self) -> [Swap; 2] {
        [State::Sending, State::Claimed].map(|state| Swap { from: Some(self.entry(state)), to: None })
    }

    fn claim(&self, from: Option<Entry>) -> Swap {
        Swap { from, to: Some(self.entry(State::Claimed)) }
    }

    fn swap(&self, from: State, to: State) -> Swap {
        Swap { from: Some(self.entry(from)), to: Some(self.entry(to)) }
    }

    const fn entry(&self, state: State) -> Entry {
        Entry { owner: self.owner, arguments: self.arguments, state }
    }
}
