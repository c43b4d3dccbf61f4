//! Letting others go first: a task gives way to those that its thread has to run already.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

/// Whether a task has given way. It gives way once, and then has its turn; then it may give way again.
#[derive(Default)]
pub(crate) struct Turn {
    has_given_way: bool,
}

impl Turn {
    /// `Pending` the first time, and the task is polled again; `Ready` the second time.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        self.has_given_way = !self.has_given_way;
        if self.has_given_way {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// Gives way once.
pub(crate) async fn give_way() {
    let mut turn = Turn::default();
    poll_fn(|context| turn.poll(context)).await;
}
