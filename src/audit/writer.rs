//! Writes the lines that wait, many in one write, in order. Whoever holds the writer writes for all.

use std::{
    io::{self, ErrorKind},
    mem,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use super::{
    OnFailure, Unavailable,
    backlog::Backlog,
    denials::Denials,
    entry::{Entry, QueueSpace},
    failures::PathLog,
    recent_lines::{self, RecentLines},
    sink::{Fate, Sink},
};
use crate::telemetry::AuditMetrics;

/// The most bytes of one write; its last line may exceed it.
const LONGEST_WRITE: usize = 256 * 1024;

/// The longest wait for a slow reader before commands and deadlines are checked.
const READER_TIMEOUT: Duration = Duration::from_millis(10);

/// After so many bytes the file is checked for truncation too: a quarter of what can be repeated.
const LONGEST_UNSEEN: usize = recent_lines::CAPACITY / 4;

/// How often the file is checked for truncation, and a failed write is retried.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How long lines may take at the end.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many lines may wait when summaries of denials are added to them.
const MOST_BEFORE_SUMMARIES: usize = 256;

/// A write that takes longer is slow.
const SLOW: Duration = Duration::from_millis(1);

/// What the writer is to do.
pub(super) enum Command {
    Write(Arc<Entry>, QueueSpace),
    Reopen,
    Close,
}

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// The sink took it at once, or there was nothing to write.
    AtOnce,
    /// The sink is slow, full or broken: only a thread may wait for it.
    Slowly,
}

pub(super) struct Writer {
    commands: Receiver<Command>,
    /// How many commands wait to be received.
    waiting: Arc<AtomicIsize>,
    sink: Sink,
    metrics: AuditMetrics,
    backlog: Backlog,
    recent: RecentLines,
    /// When the file was looked at.
    last_look: Instant,
    /// How many bytes were written since the last look.
    unseen: usize,
    buffer: Vec<u8>,
    /// The last write failed; it is retried with the next line.
    failed: bool,
    /// The file was removed and cannot be made again: lines written since then are lost so far.
    removed: Option<Instant>,
    /// The file is not at its path, and what is there cannot be opened.
    elsewhere: PathLog,
    /// Nobody can look whether the file is at its path.
    hidden: PathLog,
    denials: Arc<Denials>,
    /// Until when lines may be written, once the trail is being closed.
    closing: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        commands: Receiver<Command>,
        waiting: Arc<AtomicIsize>,
        sink: Sink,
        denials: Arc<Denials>,
        metrics: AuditMetrics,
    ) -> Self {
        let (elsewhere, hidden) = (PathLog::of_reopening(&metrics), PathLog::of_looks(&metrics));
        Self {
            commands,
            waiting,
            sink,
            metrics,
            backlog: Backlog::default(),
            recent: RecentLines::default(),
            last_look: Instant::now(),
            unseen: 0,
            buffer: Vec::new(),
            failed: false,
            removed: None,
            elsewhere,
            hidden,
            denials,
            closing: None,
        }
    }

    /// Takes the commands that wait and writes once.
    pub(super) fn write_waiting(&mut self) -> Wrote {
        self.receive();
        self.write()
    }

    /// Waits for a command, for a tick at most; then takes what waits and writes once.
    pub(super) fn wait_and_write(&mut self) -> Wrote {
        if (self.backlog.is_empty() || self.failed) && self.closing.is_none() {
            match self.commands.recv_timeout(TICK) {
                Ok(command) => self.execute(command),
                Err(RecvTimeoutError::Timeout) => self.every_second(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => self.close(),
            }
        }
        self.write_waiting()
    }

    /// What is done every [`TICK`], whether or not there are calls.
    pub(super) fn tick(&mut self) -> Wrote {
        self.receive();
        self.every_second(Instant::now());
        self.write()
    }

    /// Whether nothing more is to be written: the trail is closed, and its lines are out or their time is over.
    pub(super) fn is_done(&self) -> bool {
        self.closing.is_some_and(|until| self.backlog.is_empty() || self.failed || Instant::now() >= until)
    }

    /// How many lines could not be written. Their calls are told.
    pub(super) fn end(&mut self) -> usize {
        self.receive();
        mem::take(&mut self.backlog).refuse(Unavailable::Ended)
    }

    fn receive(&mut self) {
        let mut bytes = self.backlog.bytes();
        while bytes < LONGEST_WRITE {
            match self.commands.try_recv() {
                Ok(command) => {
                    if let Command::Write(entry, _) = &command {
                        bytes += entry.line().len();
                    }
                    self.execute(command);
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.close(),
            }
        }
    }

    fn execute(&mut self, command: Command) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match command {
            Command::Write(entry, space) => self.backlog.push(entry, Some(space)),
            Command::Reopen => {
                self.look_at_the_file(Instant::now());
                // One that was removed is made again before the next write.
                if self.removed.is_none() {
                    self.reopen();
                }
            }
            Command::Close => self.close(),
        }
    }

    fn close(&mut self) {
        self.closing.get_or_insert_with(|| Instant::now() + CLOSE_TIMEOUT);
        self.failed = false;
        self.every_second(Instant::now());
    }

    /// Looks after the file, sums up denials, and tries again what has failed.
    fn every_second(&mut self, now: Instant) {
        self.look_at_the_file(now);
        // Lines that wait take room: while there are many, denials are summed up for longer.
        if self.closing.is_some() || !self.failed && self.backlog.len() < MOST_BEFORE_SUMMARIES {
            let summaries = self.denials.sum_up(now, self.closing.is_some());
            for line in summaries {
                self.backlog.push(Arc::new(Entry::new(line, OnFailure::Allow)), None);
            }
        }
        if self.metrics.failing.get() != 0 && self.backlog.is_empty() && self.closing.is_none() {
            // Nobody may call while every call is refused.
            self.backlog.push(Entry::resumed(), None);
        }
    }

    fn write(&mut self) -> Wrote {
        let began = Instant::now();
        if began >= self.last_look + TICK {
            self.every_second(began);
        } else if self.unseen >= LONGEST_UNSEEN || self.backlog.is_halfway() {
            self.look_at_the_file(began);
        }
        if let Some(since) = self.removed
            && let Err(error) = self.make_again(since)
        {
            self.fail(error.kind());
            return Wrote::Slowly;
        }
        self.backlog.withdraw();
        if self.backlog.is_empty() {
            return Wrote::AtOnce;
        }
        self.backlog.fill(&mut self.buffer, LONGEST_WRITE);
        match self.sink.write(&self.buffer) {
            Ok(written) => {
                let is_whole = written == self.buffer.len();
                let ended = Instant::now();
                self.complete(written, ended);
                if is_whole && ended - began < SLOW { Wrote::AtOnce } else { Wrote::Slowly }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                Wrote::Slowly
            }
            Err(error) => {
                self.fail(error.kind());
                Wrote::Slowly
            }
        }
    }

    /// Waits until the sink takes more, for [`READER_TIMEOUT`] at most; not where it is broken.
    pub(super) fn wait_for_the_sink(&self) {
        if !self.backlog.is_empty() && !self.failed {
            self.sink.wait(READER_TIMEOUT);
        }
    }

    fn complete(&mut self, written: usize, now: Instant) {
        self.failed = false;
        self.metrics.failing.set(0);
        self.unseen += written;
        let (recent, may_be_lost) = (&mut self.recent, self.sink.can_be_truncated());
        let lines = self.backlog.complete(written, |line| {
            if may_be_lost {
                recent.push(now, line);
            }
        });
        self.metrics.written(lines);
    }

    fn fail(&mut self, why: ErrorKind) {
        self.failed = true;
        self.metrics.failing.set(1);
        self.backlog.fail(Unavailable::Failed(why));
    }

    /// Repeats the lines that may have been lost since the last look, and goes on in a new file where the old one is gone.
    fn look_at_the_file(&mut self, now: Instant) {
        let last_look = mem::replace(&mut self.last_look, now);
        self.unseen = 0;
        let fate = self.sink.look();
        match fate {
            Fate::Hidden(error) => self.hidden.failed(&error, now),
            _ => self.hidden.succeeded(),
        }
        match fate {
            Fate::Truncated => {
                let lost = self.recent.take(now);
                self.backlog.repeat(&lost);
            }
            Fate::Renamed => self.reopen(),
            Fate::Removed if self.removed.is_none() => {
                self.metrics.files_lost.inc();
                tracing::error!(
                    "the audit file was removed; it is made again, and what may be lost is repeated"
                );
                self.removed = Some(last_look);
            }
            Fate::Same | Fate::Removed | Fate::Hidden(_) => {}
        }
    }

    /// Goes on in a new file, with the lines that were written to the removed one since then.
    fn make_again(&mut self, since: Instant) -> io::Result<()> {
        self.sink.reopen()?;
        self.removed = None;
        tracing::info!("the audit file is there again");
        let lost = self.recent.take_since(since);
        self.backlog.repeat(&lost);
        Ok(())
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            self.elsewhere.failed(&error, Instant::now());
            return;
        }
        self.elsewhere.succeeded();
        if self.sink.has_path() {
            tracing::info!("the audit file is opened again, because it was renamed or SIGHUP came");
        }
        self.backlog.rewrite_first();
        // The old file was renamed, so its lines are kept.
        self.recent = RecentLines::default();
        (self.failed, self.removed) = (false, None);
    }
}
