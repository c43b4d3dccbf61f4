//! SIGINT, SIGTERM and SIGHUP: the first asks for an orderly end, the second does not wait for it.

use std::{future::Future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// Runs what takes a future that tells it to stop.
pub(super) async fn until_stopped<F>(run: impl FnOnce(Stop) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let (first, mut second) = (Stop::new()?, Stop::new()?);
    tokio::select! {
        result = run(first) => result,
        () = async { second.next().await; second.next().await } => {
            Err(Failure::Failed("stopped at once, by a second signal".to_owned()))
        }
    }
}

/// Waits for signals.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
