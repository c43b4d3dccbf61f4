//! The audit trail: one JSON line a decision, accepted by `write(2)` before the answer leaves.
//!
//! The lines of many calls go out in one write. A line that is not accepted within [`LONGEST_WAIT`] is withdrawn and its
//! call refused. If its write was under way by then, the line is repeated with the mark `withheld`. docs/audit.md
//! describes the fields and the marks.

mod backlog;
mod denials;
mod entry;
mod error;
mod failures;
mod line;
mod recent_lines;
mod settings;
mod shared;
mod sink;
mod writer;

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::{
    denials::Denials,
    entry::{Entry, QueueSpace},
    failures::Failures,
    shared::Shared,
    sink::Sink,
    writer::{CLOSE_TIMEOUT, Command},
};
pub use self::{
    error::{LONGEST_WAIT, Unavailable, Unflushed},
    line::{Decision, LONGEST_LINE, Line, Phase, Summary},
    settings::{OnFailure, Output, Settings, ephemeral_fingerprinter, fingerprinter},
};
use crate::{telemetry::AuditMetrics, turn::give_way};

/// How many bytes of lines may wait to be written. Denials get half of it, so that a flood of them
/// cannot keep allowed calls out.
const CAPACITY: usize = 8 * 1024 * 1024;

/// How often a call that waits looks after its line. The process may have stood still for longer than
/// [`LONGEST_WAIT`]: so many looks are that time for the sink, and not for a process that was not running.
const LOOKS: u32 = 10;

/// The audit trail.
pub struct Audit {
    shared: Arc<Shared>,
    /// Bytes in the queue.
    queued: Arc<AtomicUsize>,
    on_failure: OnFailure,
    denials: Arc<Denials>,
    failures: Failures,
    metrics: AuditMetrics,
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
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let failures = Failures::new(metrics.clone());
        let denials = Arc::new(Denials::new(Instant::now()));
        let shared = Arc::new(Shared::new(sink, denials.clone(), metrics.clone()));
        let thread = thread::Builder::new().name("audit".to_owned()).spawn({
            let shared = shared.clone();
            move || {
                // Dropped last, even if the thread panics.
                let _guard = guard;
                shared.keep()
            }
        })?;
        Ok(Self {
            shared,
            queued: Arc::default(),
            on_failure: settings.on_failure,
            denials,
            failures,
            metrics,
            thread: Mutex::new(Some(thread)),
            ended,
        })
    }

    /// Whether calls are refused, because their lines cannot be written.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.on_failure == OnFailure::Deny && self.metrics.failing.get() != 0
    }

    /// Writes a line; done once `write(2)` has accepted it. Call it within a tokio runtime. A denial that is one of many of
    /// its caller's is counted in place of that, and has its part in a line a second.
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
        let rendered = line.render();
        let has_line =
            line.decision != Decision::Deny || self.denials.has_line(line, rendered.len(), Instant::now());
        async move {
            if !has_line {
                self.metrics.denials_summed.inc();
                return Ok(());
            }
            let result = self.queue(rendered, on_failure, capacity).await;
            result.inspect(|()| self.failures.end()).inspect_err(|why| self.failures.report(*why))
        }
    }

    async fn queue(
        &self,
        line: Box<[u8]>,
        on_failure: OnFailure,
        capacity: usize,
    ) -> Result<(), Unavailable> {
        let space = QueueSpace::take(&self.queued, line.len(), capacity).ok_or(Unavailable::Full)?;
        let entry = Arc::new(Entry::new(line, on_failure));
        self.shared.send(Command::Write(entry.clone(), space))?;
        // The lines of this thread's other calls go out in the same write.
        give_way().await;
        self.shared.write_if_free();
        for _ in 0..LOOKS {
            if let Some(outcome) = entry.outcome() {
                return outcome;
            }
            if let Ok(outcome) = timeout(LONGEST_WAIT / LOOKS, entry.settled()).await {
                return outcome;
            }
            self.shared.write_if_free();
        }
        let gave_up = if self.shared.is_closed() { Unavailable::Ended } else { Unavailable::TimedOut };
        entry.settle(Err(gave_up))
    }

    /// Reopens the file after it was renamed. No line is lost.
    pub fn reopen(&self) {
        self.shared.send_to_thread(Command::Reopen);
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
        self.shared.send_to_thread(Command::Close);
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
