//! The audit trail: one JSON line a decision, accepted by `write(2)` before the answer leaves.
//!
//! A thread writes the lines of many calls in one write. A line that is not accepted within
//! [`LONGEST_WAIT`] is withdrawn and its call refused. If its write was under way by then, the line
//! is repeated with the mark `withheld`. docs/audit.md describes the fields and the marks.

mod error;
mod failures;
mod line;
mod pending;
mod recent_lines;
mod settings;
mod sink;
mod writer;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::AtomicUsize,
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::{
    sync::oneshot,
    time::{timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    error::{LONGEST_WAIT, Unavailable, Unflushed},
    line::{Decision, LONGEST_LINE, Line, Phase},
    settings::{OnFailure, Output, Settings, ephemeral_fingerprinter, fingerprinter},
};
use self::{
    failures::Failures,
    pending::{PendingLine, QueueSpace},
    sink::Sink,
    writer::{CLOSE_TIMEOUT, Writer, WriterCommand},
};
use crate::telemetry::AuditMetrics;

/// How many bytes of lines may wait to be written. Denials get half of it, so that a flood of them
/// cannot keep allowed calls out.
const CAPACITY: usize = 8 * 1024 * 1024;

/// The audit trail.
pub struct Audit {
    commands: Sender<WriterCommand>,
    /// Bytes in the queue.
    queued: Arc<AtomicUsize>,
    on_failure: OnFailure,
    failures: Failures,
    thread: Mutex<Option<JoinHandle<usize>>>,
    ended: CancellationToken,
}

impl Audit {
    /// Opens the output and starts the thread.
    ///
    /// # Errors
    /// The output cannot be opened, or the thread not started.
    pub fn start(settings: &Settings, metrics: AuditMetrics) -> io::Result<Self> {
        let sink = Sink::open(&settings.output)?;
        let (commands, received) = mpsc::channel();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let failures = Failures::new(metrics.clone());
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || {
            // Dropped after the writer, even if that panics.
            let _guard = guard;
            Writer::new(received, sink, metrics).run()
        })?;
        Ok(Self {
            commands,
            queued: Arc::default(),
            on_failure: settings.on_failure,
            failures,
            thread: Mutex::new(Some(thread)),
            ended,
        })
    }

    /// Writes a line; done once `write(2)` has accepted it. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Unavailable`], after at most [`LONGEST_WAIT`]; never with [`OnFailure::Allow`].
    pub fn write(&self, line: &Line<'_>) -> impl Future<Output = Result<(), Unavailable>> + Send + use<'_> {
        let on_failure = self.on_failure;
        let result = self.queue_and_report(line, on_failure);
        async move {
            let result = result.await;
            if on_failure == OnFailure::Deny { result } else { Ok(()) }
        }
    }

    /// Writes a line of what has happened already: no call is refused for it. Done when it is
    /// written, or after [`LONGEST_WAIT`].
    pub fn note(&self, line: &Line<'_>) -> impl Future<Output = ()> + Send + use<'_> {
        let result = self.queue_and_report(line, OnFailure::Allow);
        async move {
            let _ = result.await;
        }
    }

    fn queue_and_report(
        &self,
        line: &Line<'_>,
        on_failure: OnFailure,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send + use<'_> {
        let capacity = if line.decision == Decision::Deny { CAPACITY / 2 } else { CAPACITY };
        let line = line.render();
        async move {
            let result = self.queue(line, on_failure, capacity).await;
            result.inspect_err(|why| self.failures.report(*why))
        }
    }

    async fn queue(&self, line: Vec<u8>, on_failure: OnFailure, capacity: usize) -> Result<(), Unavailable> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let space = QueueSpace::take(&self.queued, line.len(), capacity).ok_or(Unavailable::Full)?;
        let (sender, mut result) = oneshot::channel();
        let line = PendingLine::new(line, on_failure, space, sender, deadline);
        self.commands.send(WriterCommand::Write(line)).map_err(|_| Unavailable::Ended)?;
        match timeout_at(deadline.into(), &mut result).await {
            Ok(Ok(result)) => result,
            // Dropped by the writer: at its end, or as it withdrew the line at the deadline.
            Ok(Err(_)) if self.ended.is_cancelled() => Err(Unavailable::Ended),
            Ok(Err(_)) => Err(Unavailable::TimedOut),
            Err(_) => {
                // The writer sees from here on that no call waits.
                result.close();
                result.try_recv().unwrap_or(Err(Unavailable::TimedOut))
            }
        }
    }

    /// Reopens the file after it was renamed. No line is lost.
    pub fn reopen(&self) {
        // A thread that has ended has no file.
        let _ = self.commands.send(WriterCommand::Reopen);
    }

    /// Done when the thread has ended: a failure if [`Audit::close`] was not called.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Writes the queued lines, for a second at most, and ends the thread. Later lines are refused.
    ///
    /// # Errors
    /// [`Unflushed`].
    pub async fn close(&self) -> Result<(), Unflushed> {
        let _ = self.commands.send(WriterCommand::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        // A thread that is stuck in a write cannot be waited for; it ends with the process.
        timeout(2 * CLOSE_TIMEOUT, self.ended.cancelled()).await.map_err(|_| Unflushed::Thread)?;
        match thread.join() {
            Ok(0) => Ok(()),
            Ok(lines) => Err(Unflushed::Lines(lines)),
            Err(_) => Err(Unflushed::Thread),
        }
    }
}
