//! Every interleaving of two callers with one `request_id` and a store with a replica, by the state machine of `claim.rs`.
//!
//! At each step a caller may crash, and each message to or from the store may be lost or come late, once its caller has
//! given up. The store may fail over to its replica, which may have seen less. A claim may look old at any time, so
//! nothing here depends on clocks.

use std::{collections::HashSet, time::Duration};

use super::claim::{Answer, Attempt, End, Entry, Outcome, Step, Swap};

const OLD: Duration = Duration::from_hours(1);

/// All there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    primary: Option<Entry>,
    replica: Option<Entry>,
    callers: [Caller; 2],
    /// POSTs that may have taken effect.
    posts: usize,
    /// Messages that are under way although nobody waits for their answers.
    late: Vec<Swap>,
    failovers_left: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    /// Its request is under way.
    Asking(Attempt, Swap),
    /// The answer is; where it is `Swapped`, whether a replica has it.
    Answered(Attempt, Answer, bool),
    Sending(Attempt),
    /// It has its answer, and the outcome is under way to the store.
    Leaving(Swap, Told),
    Ended(Told),
    Crashed,
}

/// What its client is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Told {
    Made(Vec<u8>),
    NoEffect,
    Unknown,
    Unavailable,
}

impl World {
    fn start() -> Self {
        let caller = |name| {
            let attempt = Attempt::new([name; 16], [0; 32]);
            let Step::Ask(swap) = attempt.begin() else { unreachable!("it asks first") };
            Caller::Asking(attempt, swap)
        };
        let callers = [caller(1), caller(2)];
        Self { primary: None, replica: None, callers, posts: 0, late: Vec::new(), failovers_left: 1 }
    }

    fn with(&self, index: usize, caller: Caller) -> Self {
        let mut next = self.clone();
        next.callers[index] = caller;
        next
    }

    /// As src/store's script does it.
    fn apply(&mut self, swap: &Swap) -> bool {
        let is_swapped = self.primary == swap.from || self.primary == swap.to;
        if is_swapped {
            self.primary.clone_from(&swap.to);
        }
        is_swapped
    }

    /// Every world that may come next.
    fn successors(&self) -> Vec<Self> {
        let mut next = vec![self.replicated()];
        if self.failovers_left > 0 {
            next.push(self.failed_over());
        }
        for index in 0..self.late.len() {
            let mut lost = self.clone();
            let swap = lost.late.swap_remove(index);
            let mut applied = lost.clone();
            applied.apply(&swap);
            next.extend([lost, applied]);
        }
        for index in 0..self.callers.len() {
            self.steps_of(index, &mut next);
        }
        next
    }

    /// Everything reaches the replica.
    fn replicated(&self) -> Self {
        let mut next = self.clone();
        next.replica.clone_from(&self.primary);
        for caller in &mut next.callers {
            if let Caller::Answered(_, Answer::Swapped, is_replicated) = caller {
                *is_replicated = true;
            }
        }
        next
    }

    /// The replica is the primary from now on. What it had not seen is lost, and who waits for that hears no more.
    fn failed_over(&self) -> Self {
        let mut next = Self { primary: self.replica.clone(), ..self.clone() };
        next.failovers_left -= 1;
        for caller in &mut next.callers {
            if let Caller::Answered(_, answer @ Answer::Swapped, false) = caller {
                *answer = Answer::Lost;
            }
        }
        next
    }

    fn steps_of(&self, index: usize, next: &mut Vec<Self>) {
        let caller = &self.callers[index];
        if !matches!(caller, Caller::Ended(_) | Caller::Crashed) {
            let mut crashed = self.with(index, Caller::Crashed);
            if let Caller::Asking(_, swap) | Caller::Leaving(swap, _) = caller {
                crashed.late.push(swap.clone());
            }
            next.push(crashed);
        }
        match caller {
            Caller::Asking(attempt, swap) => {
                let mut applied = self.clone();
                if applied.apply(swap) {
                    applied.callers[index] = Caller::Answered(attempt.clone(), Answer::Swapped, false);
                    next.push(applied);
                } else {
                    for age in [Duration::ZERO, OLD] {
                        let found = Answer::Found(applied.primary.clone(), age);
                        next.push(self.with(index, Caller::Answered(attempt.clone(), found, false)));
                    }
                }
                // It gives up, and its message is under way all the same.
                let mut given_up = self.heard(index, attempt, Answer::Lost);
                given_up.late.push(swap.clone());
                next.push(given_up);
            }
            Caller::Answered(attempt, answer, is_replicated) => {
                if *answer != Answer::Swapped || *is_replicated {
                    next.push(self.heard(index, attempt, answer.clone()));
                }
                next.push(self.heard(index, attempt, Answer::Lost));
            }
            Caller::Sending(attempt) => {
                let made = vec![u8::try_from(index).unwrap()];
                let outcomes = [
                    (1, Some(Outcome::Made(made.clone())), Told::Made(made)),
                    (1, Some(Outcome::Unknown), Told::Unknown),
                    (0, None, Told::NoEffect),
                ];
                for (posts, outcome, told) in outcomes {
                    let mut sent = self.with(index, Caller::Leaving(attempt.outcome(outcome), told));
                    sent.posts += posts;
                    next.push(sent);
                }
            }
            Caller::Leaving(swap, told) => {
                let mut written = self.clone();
                let again = if written.apply(swap) {
                    None
                } else {
                    Attempt::outcome_again(swap.clone(), written.primary.clone())
                };
                written.callers[index] = match again {
                    Some(again) => Caller::Leaving(again, told.clone()),
                    None => Caller::Ended(told.clone()),
                };
                next.push(written);
            }
            Caller::Ended(_) | Caller::Crashed => {}
        }
    }

    fn heard(&self, index: usize, attempt: &Attempt, answer: Answer) -> Self {
        let mut attempt = attempt.clone();
        match attempt.next(answer) {
            Step::Ask(swap) | Step::Wait(swap) => self.with(index, Caller::Asking(attempt, swap)),
            Step::Send => self.with(index, Caller::Sending(attempt)),
            Step::End(end) => {
                let told = match end {
                    End::Replay(Outcome::Made(made)) => Told::Made(made),
                    End::Replay(Outcome::Unknown) | End::OutcomeLost => Told::Unknown,
                    End::OtherArguments => unreachable!("both have the same"),
                    End::Unavailable => Told::Unavailable,
                };
                let mut next = self.with(index, Caller::Ended(told.clone()));
                if told == Told::Unavailable {
                    next.late.extend(attempt.abandon());
                }
                next
            }
        }
    }
}

#[test]
fn however_two_callers_a_store_and_its_replica_fare_one_post_takes_effect_at_most() {
    let (mut seen, mut open) = (HashSet::new(), vec![World::start()]);
    let (mut ends, mut posts_of_one_id) = (HashSet::new(), HashSet::new());
    while let Some(world) = open.pop() {
        assert!(world.posts <= 1, "{world:#?}");
        let told = world.callers.each_ref().map(|caller| match caller {
            Caller::Ended(told) | Caller::Leaving(_, told) => Some(told.clone()),
            _ => None,
        });
        if let [Some(Told::Made(first)), Some(Told::Made(second))] = &told {
            assert_eq!(first, second, "{world:#?}");
        }
        if told.iter().flatten().any(|told| matches!(told, Told::Made(_))) {
            assert_eq!(world.posts, 1, "nobody is told of what was not made: {world:#?}");
        }
        posts_of_one_id.insert(world.posts);
        ends.insert(told);
        open.extend(world.successors().into_iter().filter(|next| seen.insert(next.clone())));
    }
    let made = |by| Some(Told::Made(vec![by]));
    for end in [
        [made(0), made(0)],
        [made(1), made(1)],
        [Some(Told::NoEffect), made(1)],
        [Some(Told::Unknown), Some(Told::Unknown)],
        [Some(Told::Unavailable), made(1)],
        [None, made(1)],
        [None, Some(Told::Unknown)],
    ] {
        assert!(ends.contains(&end), "{end:?} is never reached");
    }
    assert_eq!((posts_of_one_id.len(), seen.len() > 10_000), (2, true), "{}", seen.len());
}
