//! The audit trail: one JSON line a decision, accepted by `write(2)` before the answer leaves.
//!
//! Lines of many calls go out in one write, by a thread of their own. A line that is not accepted
//! within [`LONGEST_WAIT`] is withdrawn and its call refused. If the line comes out all the same,
//! because its write was under way, it is repeated with the mark `withheld`. docs/audit.md has a
//! line's fields and what marks mean.

mod entry;
mod error;
mod failures;
mod line;
mod object;
mod recent;
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

use self::{
    entry::{Binding, Entry, Room},
    failures::Failures,
    sink::Sink,
    writer::{CLOSE_TIMEOUT, Message, Writer},
};
pub use self::{
    error::{LONGEST_WAIT, Unavailable, Unflushed},
    line::{Decision, LONGEST_LINE, Line, Phase},
    settings::{OnFailure, Output, Settings, fingerprinter, throw_away_fingerprinter},
};
use crate::telemetry::AuditMetrics;

/// How many bytes of lines may wait to be written. Refusals get half of it: whoever is refused as
/// often as it can must not keep others from what they may do.
const CAPACITY: usize = 8 * 1024 * 1024;

/// Writes lines.
pub struct Audit {
    messages: Sender<Message>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
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
        let (messages, received) = mpsc::channel();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let failures = Failures::new(metrics.clone());
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || {
            // Dropped after the writer, even if that panics.
            let _guard = guard;
            Writer::new(received, sink, metrics).run()
        })?;
        Ok(Self {
            messages,
            waiting: Arc::default(),
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
        let binding = match self.on_failure {
            OnFailure::Deny => Binding::Refused,
            OnFailure::Allow => Binding::GoesOn,
        };
        let result = self.hand_over_and_report(line, binding);
        async move {
            let result = result.await;
            if binding == Binding::Refused { result } else { Ok(()) }
        }
    }

    /// Writes a line of what has happened already, which nobody is refused for; done as
    /// [`Audit::write`] is, or after [`LONGEST_WAIT`].
    pub fn note(&self, line: &Line<'_>) -> impl Future<Output = ()> + Send + use<'_> {
        let result = self.hand_over_and_report(line, Binding::GoesOn);
        async move {
            let _ = result.await;
        }
    }

    fn hand_over_and_report(
        &self,
        line: &Line<'_>,
        binding: Binding,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send + use<'_> {
        let capacity = if line.decision == Decision::Deny { CAPACITY / 2 } else { CAPACITY };
        let line = line.render();
        async move {
            let result = self.hand_over(line, binding, capacity).await;
            result.inspect_err(|why| self.failures.report(*why))
        }
    }

    async fn hand_over(&self, line: Vec<u8>, binding: Binding, capacity: usize) -> Result<(), Unavailable> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let room = Room::take(&self.waiting, line.len(), capacity).ok_or(Unavailable::Full)?;
        let (answer, mut answered) = oneshot::channel();
        let entry = Entry::new(line, binding, room, answer, deadline);
        self.messages.send(Message::Line(entry)).map_err(|_| Unavailable::Ended)?;
        match timeout_at(deadline.into(), &mut answered).await {
            Ok(Ok(answer)) => answer,
            // Forgotten unanswered: at the end, or withdrawn at the same moment.
            Ok(Err(_)) if self.ended.is_cancelled() => Err(Unavailable::Ended),
            Ok(Err(_)) => Err(Unavailable::TimedOut),
            Err(_) => {
                // From here on the thread learns that nobody waits.
                answered.close();
                answered.try_recv().unwrap_or(Err(Unavailable::TimedOut))
            }
        }
    }

    /// Opens the file anew: after it was renamed. Nothing is lost, whenever it is called.
    pub fn reopen(&self) {
        // A thread that has ended has no file.
        let _ = self.messages.send(Message::Reopen);
    }

    /// Done when the thread has ended, which before [`Audit::close`] is a failure.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Writes what was accepted, for a second at most, and ends the thread. Lines that come later
    /// are refused.
    ///
    /// # Errors
    /// [`Unflushed`].
    pub async fn close(&self) -> Result<(), Unflushed> {
        let _ = self.messages.send(Message::Close);
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
