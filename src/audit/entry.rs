//! A line on its way, shared by the call that waits for it and by whoever writes it.

use std::{
    future::poll_fn,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;

use super::{
    OnFailure, Unavailable,
    line::{Mark, marked},
};

/// A line, and what became of it. Whoever settles it first decides: the writer, or the call that gives up.
pub(super) struct Entry {
    line: Box<[u8]>,
    on_failure: OnFailure,
    outcome: OnceLock<Result<(), Unavailable>>,
    waker: AtomicWaker,
}

impl Entry {
    pub(super) const fn new(line: Box<[u8]>, on_failure: OnFailure) -> Self {
        Self { line, on_failure, outcome: OnceLock::new(), waker: AtomicWaker::new() }
    }

    /// A repeated line, with a mark. No call waits for it.
    pub(super) fn repeat(line: &[u8], mark: Mark) -> Arc<Self> {
        Arc::new(Self::new(marked(line, mark), OnFailure::Allow))
    }

    /// What is tried while nothing can be written: the first line of a sink that takes lines again.
    pub(super) fn resumed() -> Arc<Self> {
        Arc::new(Self::new(b"{\"mark\":\"resumed\"}\n"[..].into(), OnFailure::Deny))
    }

    /// With its line break.
    pub(super) const fn line(&self) -> &[u8] {
        &self.line
    }

    /// What became of it, if that is known.
    pub(super) fn outcome(&self) -> Option<Result<(), Unavailable>> {
        self.outcome.get().copied()
    }

    /// Done once that is known.
    pub(super) async fn settled(&self) -> Result<(), Unavailable> {
        poll_fn(|context| {
            if let Some(outcome) = self.outcome() {
                return Poll::Ready(outcome);
            }
            self.waker.register(context.waker());
            // It may have been settled before the waker was there.
            self.outcome().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Says what became of it, unless that is known already, and gives what holds.
    pub(super) fn settle(&self, outcome: Result<(), Unavailable>) -> Result<(), Unavailable> {
        let holds = *self.outcome.get_or_init(|| outcome);
        self.waker.wake();
        holds
    }

    /// Whether its call was refused, so that it must not stand.
    pub(super) fn is_withheld(&self) -> bool {
        self.on_failure == OnFailure::Deny && self.outcome().is_some_and(|outcome| outcome.is_err())
    }

    /// Whether its call goes on without it, so that it is written as soon as that is possible.
    pub(super) fn is_owed(&self) -> bool {
        self.on_failure == OnFailure::Allow
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
