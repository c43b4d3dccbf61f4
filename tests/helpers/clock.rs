//! Timers that the test moves.

use std::{sync::mpsc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{advance, pause},
};

/// The time of tokio's timers. It does not pass by itself, even while everyone waits for a socket.
pub(crate) struct TimerClock {
    /// tokio moves no paused clock while a blocking task runs. Ends it when dropped.
    _blocking_task: mpsc::Sender<()>,
    pub(crate) passed: Duration,
}

impl TimerClock {
    pub(crate) fn pause() -> Self {
        pause();
        let (sender, receiver) = mpsc::channel();
        spawn_blocking(move || receiver.recv());
        Self { _blocking_task: sender, passed: Duration::ZERO }
    }

    pub(crate) async fn advance(&mut self, step: Duration) {
        advance(step).await;
        self.passed += step;
    }
}
