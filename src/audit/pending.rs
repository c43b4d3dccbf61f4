//! A line that waits to be written, and the call that waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    OnFailure, Unavailable,
    line::{Mark, marked},
};

/// A line, and how much of it is written.
pub(super) struct PendingLine {
    pub(super) bytes: Vec<u8>,
    pub(super) written: usize,
    waiter: Waiter,
    on_failure: OnFailure,
    /// Released with the line.
    _space: Option<QueueSpace>,
}

enum Waiter {
    /// A call waits, until this moment at most.
    Call(oneshot::Sender<Result<(), Unavailable>>, Instant),
    /// The call was refused after half the line was written.
    Refused,
    /// No call waits.
    None,
}

impl PendingLine {
    pub(super) fn new(
        bytes: Vec<u8>,
        on_failure: OnFailure,
        space: QueueSpace,
        result: oneshot::Sender<Result<(), Unavailable>>,
        deadline: Instant,
    ) -> Self {
        Self { bytes, written: 0, waiter: Waiter::Call(result, deadline), on_failure, _space: Some(space) }
    }

    /// A repeated line, with a mark. No call waits for it.
    pub(super) fn repeat(line: &[u8], mark: Mark) -> Self {
        let bytes = marked(line, mark);
        Self { bytes, written: 0, waiter: Waiter::None, on_failure: OnFailure::Allow, _space: None }
    }

    /// Whether its call has given up and none of it is written.
    pub(super) fn can_be_withdrawn(&self, now: Instant) -> bool {
        self.on_failure == OnFailure::Deny
            && self.written == 0
            && matches!(self.waiter, Waiter::Call(_, deadline) if deadline <= now)
    }

    /// Reports the failure to its call. False if the line can be dropped: a line whose call goes on is
    /// kept and written later.
    pub(super) fn refuse(&mut self, why: Unavailable) -> bool {
        if let Waiter::Call(result, _) = std::mem::replace(&mut self.waiter, Waiter::Refused) {
            // A call that does not wait any more has timed out.
            let _ = result.send(Err(why));
        }
        self.written > 0 || self.on_failure == OnFailure::Allow
    }

    /// Reports to its call that the line is written; gives the line. True if the call was refused
    /// before that.
    pub(super) fn complete(self) -> (Vec<u8>, bool) {
        let was_refused = match self.waiter {
            // A call that left before its deadline was cancelled, not refused.
            Waiter::Call(result, deadline) => result.send(Ok(())).is_err() && deadline <= Instant::now(),
            Waiter::Refused => true,
            Waiter::None => false,
        };
        (self.bytes, was_refused && self.on_failure == OnFailure::Deny)
    }
}

/// A line's share of the queue's bytes.
pub(super) struct QueueSpace {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl QueueSpace {
    /// `None` if more than `capacity` bytes would wait.
    pub(super) fn take(taken: &Arc<AtomicUsize>, bytes: usize, capacity: usize) -> Option<Self> {
        let space = Self { taken: taken.clone(), bytes };
        // Beyond the capacity the drop releases the bytes again.
        (taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= capacity).then_some(space)
    }
}

impl Drop for QueueSpace {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
