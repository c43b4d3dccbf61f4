//! A line on its way out, and whom to tell.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    error::Unavailable,
    line::{Mark, marked},
};

/// A line, and how much of it is out.
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    pub(super) written: usize,
    answer: Answer,
    binding: Binding,
    /// Given back when the entry is gone.
    _room: Option<Room>,
}

/// What becomes of the call where its line cannot be written in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// It is refused, so that the line must not stand.
    Refused,
    /// It goes on: the line is true whenever it comes out.
    GoesOn,
}

enum Answer {
    /// A call waits, until this moment at most.
    Owed(oneshot::Sender<Result<(), Unavailable>>, Instant),
    /// The call was refused; half the line was out already.
    Refused,
    /// The line is nobody's.
    Nobody,
}

impl Entry {
    pub(super) fn new(
        bytes: Vec<u8>,
        binding: Binding,
        room: Room,
        answer: oneshot::Sender<Result<(), Unavailable>>,
        deadline: Instant,
    ) -> Self {
        Self { bytes, written: 0, answer: Answer::Owed(answer, deadline), binding, _room: Some(room) }
    }

    /// A line that no call waits for.
    pub(super) fn unowed(bytes: Vec<u8>) -> Self {
        Self { bytes, written: 0, answer: Answer::Nobody, binding: Binding::GoesOn, _room: None }
    }

    /// Whether its call has given up, and none of it is out.
    pub(super) fn can_be_withdrawn(&self, now: Instant) -> bool {
        self.binding == Binding::Refused
            && self.written == 0
            && matches!(self.answer, Answer::Owed(_, deadline) if deadline <= now)
    }

    /// Tells its call that it cannot be written now. False if it can be forgotten: what is true all the
    /// same waits to be written later.
    pub(super) fn refuse(&mut self, why: Unavailable) -> bool {
        if let Answer::Owed(answer, _) = std::mem::replace(&mut self.answer, Answer::Refused) {
            // Whoever does not wait any more knows already.
            let _ = answer.send(Err(why));
        }
        self.written > 0 || self.binding == Binding::GoesOn
    }

    /// Tells its call that it is out, and gives the line. True if the call had been refused by then.
    pub(super) fn settle(self) -> (Vec<u8>, bool) {
        let came_too_late = match self.answer {
            // One that left before its time was not refused: it was cancelled.
            Answer::Owed(answer, deadline) => answer.send(Ok(())).is_err() && deadline <= Instant::now(),
            Answer::Refused => true,
            Answer::Nobody => false,
        };
        (self.bytes, came_too_late && self.binding == Binding::Refused)
    }

    /// The same line again, with a mark.
    pub(super) fn repeat(line: &[u8], mark: Mark) -> Self {
        Self::unowed(marked(line, mark))
    }
}

/// A line's share of what may wait.
pub(super) struct Room {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    /// `None` if more than `capacity` bytes would wait.
    pub(super) fn take(taken: &Arc<AtomicUsize>, bytes: usize, capacity: usize) -> Option<Self> {
        let room = Self { taken: taken.clone(), bytes };
        // A refused one gives back what it took.
        (taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= capacity).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
