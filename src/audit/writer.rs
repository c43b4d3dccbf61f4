//! The writer thread: it writes all pending lines in one write, in order.
//!
//! With a non-blocking sink a slow reader does not keep it from seeing a stop, a rotation or a call that
//! has given up.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use super::{error::Unavailable, line::Mark, pending::PendingLine, recent_lines::RecentLines, sink::Sink};
use crate::telemetry::AuditMetrics;

/// The most bytes of one write; its last line may exceed it.
const LONGEST_WRITE: usize = 256 * 1024;

/// The longest wait for a slow reader before commands and deadlines are checked.
const READER_TIMEOUT: Duration = Duration::from_millis(10);

/// How often the file is checked for truncation, and a failed write is retried.
const TICK: Duration = Duration::from_secs(1);

/// How long pending lines may take at the end.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the writer thread is to do.
pub(super) enum WriterCommand {
    Write(PendingLine),
    Reopen,
    Close,
}

pub(super) struct Writer {
    commands: Receiver<WriterCommand>,
    sink: Sink,
    metrics: AuditMetrics,
    /// The oldest first; only the first can be half written.
    pending: VecDeque<PendingLine>,
    recent: RecentLines,
    buffer: Vec<u8>,
    /// The last write failed; it is retried with the next line.
    failed: bool,
    /// Until when lines may be written, once the trail is being closed.
    closing: Option<Instant>,
}

impl Writer {
    pub(super) fn new(commands: Receiver<WriterCommand>, sink: Sink, metrics: AuditMetrics) -> Self {
        Self {
            commands,
            sink,
            metrics,
            pending: VecDeque::new(),
            recent: RecentLines::default(),
            buffer: Vec::new(),
            failed: false,
            closing: None,
        }
    }

    /// Writes until the trail is closed; gives how many lines were not written.
    pub(super) fn run(mut self) -> usize {
        while self.receive() {
            self.write();
        }
        self.pending.len()
    }

    /// Takes queued commands, and waits if there is nothing to do. False at the end.
    fn receive(&mut self) -> bool {
        if (self.pending.is_empty() || self.failed) && self.closing.is_none() {
            self.wait();
        }
        let mut bytes = self.pending.iter().map(|line| line.bytes.len()).sum::<usize>();
        while bytes < LONGEST_WRITE {
            match self.commands.try_recv() {
                Ok(command) => bytes += self.execute(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.close();
                    break;
                }
            }
        }
        match self.closing {
            None => true,
            Some(until) => !self.pending.is_empty() && !self.failed && Instant::now() < until,
        }
    }

    fn wait(&mut self) {
        let has_more_to_do = self.failed || !self.recent.is_empty(Instant::now());
        let command = if has_more_to_do {
            self.commands.recv_timeout(TICK)
        } else {
            self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match command {
            Ok(command) => {
                self.execute(command);
            }
            Err(RecvTimeoutError::Timeout) => self.repeat_truncated(),
            Err(RecvTimeoutError::Disconnected) => self.close(),
        }
    }

    /// Gives how many bytes it queued.
    fn execute(&mut self, command: WriterCommand) -> usize {
        match command {
            WriterCommand::Write(line) => {
                let bytes = line.bytes.len();
                self.pending.push_back(line);
                return bytes;
            }
            WriterCommand::Reopen => self.reopen(),
            WriterCommand::Close => self.close(),
        }
        0
    }

    fn close(&mut self) {
        self.closing.get_or_insert_with(|| Instant::now() + CLOSE_TIMEOUT);
        self.failed = false;
    }

    /// Writes once.
    fn write(&mut self) {
        if self.pending.front().is_some_and(|line| line.written > 0) {
            self.repeat_truncated();
        }
        let now = Instant::now();
        self.pending.retain(|line| !line.can_be_withdrawn(now));
        if self.pending.is_empty() {
            return;
        }
        self.buffer.clear();
        for line in &self.pending {
            self.buffer.extend_from_slice(&line.bytes[line.written..]);
            if self.buffer.len() >= LONGEST_WRITE {
                break;
            }
        }
        match self.sink.write(&self.buffer) {
            Ok(written) => self.complete(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.sink.wait(READER_TIMEOUT),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.fail(error.kind()),
        }
    }

    /// Reports to the calls whose lines are written.
    fn complete(&mut self, mut written: usize) {
        let now = Instant::now();
        self.failed = false;
        self.metrics.writes.inc();
        while let Some(mut line) = self.pending.pop_front() {
            let rest = line.bytes.len() - line.written;
            if written < rest {
                line.written += written;
                self.pending.push_front(line);
                break;
            }
            written -= rest;
            self.metrics.lines.inc();
            let (line, was_refused) = line.complete();
            if was_refused {
                self.pending.push_back(PendingLine::repeat(&line, Mark::Withheld));
            }
            if self.sink.can_be_truncated() {
                self.recent.push(now, line);
            }
        }
        self.repeat_truncated();
    }

    /// Refuses the waiting calls. Keeps half-written lines, and lines whose calls go on.
    fn fail(&mut self, why: ErrorKind) {
        self.failed = true;
        self.pending.retain_mut(|line| line.refuse(Unavailable::Failed(why)));
    }

    /// Repeats the lines that a truncation may have lost.
    fn repeat_truncated(&mut self) {
        if !self.sink.was_truncated() {
            return;
        }
        if let Some(first) = self.pending.front_mut() {
            first.written = 0;
        }
        let lost = self.recent.take(Instant::now());
        self.pending.extend(lost.map(|line| PendingLine::repeat(&line, Mark::Again)));
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            tracing::error!(%error, "the audit file cannot be reopened; lines still go to the old one; mend it and send SIGHUP again");
            return;
        }
        if let Some(first) = self.pending.front_mut() {
            first.written = 0;
        }
        // The old file was renamed, so its lines are kept.
        self.recent = RecentLines::default();
        self.failed = false;
    }
}
