//! SIGINT, SIGTERM and, for commands of a terminal, SIGHUP: the first requests a graceful stop, the
//! second ends the process.

use std::{future::Future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Runs a command until it ends or a signal stops it.
pub(super) async fn until_stopped<F>(run: impl FnOnce(Stop) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    until(Stop::new(true)?, Stop::new(true)?, run).await
}

/// The same without SIGHUP.
pub(super) async fn until_terminated<F>(run: impl FnOnce(Stop) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    until(Stop::new(false)?, Stop::new(false)?, run).await
}

async fn until<F>(first: Stop, mut second: Stop, run: impl FnOnce(Stop) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    tokio::select! {
        result = run(first) => result,
        () = second.second() => {
            Err(Failure::Failed("stopped at once, by a second signal".to_owned()))
        }
    }
}

/// Waits for signals.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Stop {
    fn new(hang_up: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hang_up.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// The next signal, which is logged before anything comes of it.
    pub(super) async fn next(&mut self) {
        let signal = self.named().await;
        tracing::info!(signal, "a signal asks to stop; a second one ends the process at once");
    }

    /// Its name.
    async fn named(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hung_up(self.hang_up.as_mut()) => "SIGHUP",
        }
    }

    /// The one after the next.
    async fn second(&mut self) {
        self.named().await;
        self.named().await;
    }
}

async fn hung_up(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}
