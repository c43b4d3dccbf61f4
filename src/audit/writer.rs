//! The thread that writes: whatever waits goes out in one write, in order.
//!
//! It never blocks in a write where the sink allows that, so that it sees a stop, a rotation and
//! calls that have given up while a reader is slow.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use super::{entry::Entry, error::Unavailable, line::Mark, recent::Recent, sink::Sink};
use crate::telemetry::AuditMetrics;

/// How many bytes go out in one write, but for the last line.
const LONGEST_WRITE: usize = 256 * 1024;

/// How long it waits for a reader before it looks around.
const READER_PAUSE: Duration = Duration::from_millis(10);

/// How often it looks after a file, or tries what failed.
const TICK: Duration = Duration::from_secs(1);

/// How long accepted lines may take to get out at the end.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the thread is told.
pub(super) enum Message {
    Line(Entry),
    Reopen,
    Close,
}

pub(super) struct Writer {
    messages: Receiver<Message>,
    sink: Sink,
    metrics: AuditMetrics,
    /// The oldest first; only the first can be half out.
    pending: VecDeque<Entry>,
    recent: Recent,
    buffer: Vec<u8>,
    /// The last write failed: it is tried again with the next line.
    failed: bool,
    /// Until when lines may be written, once the end was asked for.
    closing: Option<Instant>,
}

impl Writer {
    pub(super) fn new(messages: Receiver<Message>, sink: Sink, metrics: AuditMetrics) -> Self {
        Self {
            messages,
            sink,
            metrics,
            pending: VecDeque::new(),
            recent: Recent::default(),
            buffer: Vec::new(),
            failed: false,
            closing: None,
        }
    }

    /// Writes until the end is asked for; gives how many lines could not be written by then.
    pub(super) fn run(mut self) -> usize {
        while self.gather() {
            self.write();
        }
        self.pending.len()
    }

    /// Takes what waits, and waits if there is nothing to do. False at the end.
    fn gather(&mut self) -> bool {
        if (self.pending.is_empty() || self.failed) && self.closing.is_none() {
            self.wait();
        }
        let mut bytes = self.pending.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        while bytes < LONGEST_WRITE {
            match self.messages.try_recv() {
                Ok(message) => bytes += self.take(message),
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
        let message = if has_more_to_do {
            self.messages.recv_timeout(TICK)
        } else {
            self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match message {
            Ok(message) => {
                self.take(message);
            }
            Err(RecvTimeoutError::Timeout) => self.look_after_file(),
            Err(RecvTimeoutError::Disconnected) => self.close(),
        }
    }

    /// Gives how many bytes it added.
    fn take(&mut self, message: Message) -> usize {
        match message {
            Message::Line(entry) => {
                let bytes = entry.bytes.len();
                self.pending.push_back(entry);
                return bytes;
            }
            Message::Reopen => self.reopen(),
            Message::Close => self.close(),
        }
        0
    }

    fn close(&mut self) {
        self.closing.get_or_insert_with(|| Instant::now() + CLOSE_TIMEOUT);
        self.failed = false;
    }

    /// Writes once.
    fn write(&mut self) {
        if self.pending.front().is_some_and(|entry| entry.written > 0) {
            self.look_after_file();
        }
        let now = Instant::now();
        self.pending.retain(|entry| !entry.can_be_withdrawn(now));
        if self.pending.is_empty() {
            return;
        }
        self.buffer.clear();
        for entry in &self.pending {
            self.buffer.extend_from_slice(&entry.bytes[entry.written..]);
            if self.buffer.len() >= LONGEST_WRITE {
                break;
            }
        }
        match self.sink.write(&self.buffer) {
            Ok(written) => self.settle(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.sink.wait(READER_PAUSE),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.fail(error.kind()),
        }
    }

    /// Answers the calls whose lines are out.
    fn settle(&mut self, mut written: usize) {
        let now = Instant::now();
        self.failed = false;
        self.metrics.writes.inc();
        while let Some(mut entry) = self.pending.pop_front() {
            let rest = entry.bytes.len() - entry.written;
            if written < rest {
                entry.written += written;
                self.pending.push_front(entry);
                break;
            }
            written -= rest;
            self.metrics.lines.inc();
            let (line, came_too_late) = entry.settle();
            if came_too_late {
                self.pending.push_back(Entry::repeat(&line, Mark::Withheld));
            }
            if self.sink.can_shrink() {
                self.recent.push(now, line);
            }
        }
        self.look_after_file();
    }

    /// Refuses what waits, and keeps what must not be lost.
    fn fail(&mut self, why: ErrorKind) {
        self.failed = true;
        self.pending.retain_mut(|entry| entry.refuse(Unavailable::Failed(why)));
    }

    /// Repeats what a truncation may have lost.
    fn look_after_file(&mut self) {
        if !self.sink.has_shrunk() {
            return;
        }
        if let Some(first) = self.pending.front_mut() {
            first.written = 0;
        }
        let lost = self.recent.take(Instant::now());
        self.pending.extend(lost.map(|line| Entry::repeat(&line, Mark::Again)));
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            tracing::error!(%error, "the audit file cannot be opened anew; lines go to the old one");
            return;
        }
        if let Some(first) = self.pending.front_mut() {
            first.written = 0;
        }
        // What is in the old file stays there.
        self.recent = Recent::default();
        self.failed = false;
    }
}
