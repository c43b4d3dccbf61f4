//! Who writes: a call's own thread while the sink takes lines at once, and a thread that may wait where it does not.
//!
//! Waking a sleeping thread costs more than a write. So a call hands in its line, lets the other calls of its thread do
//! the same, and writes for all of them. It never waits for the writer's lock: who holds it writes this line too.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicIsize, Ordering, fence},
        mpsc::{Sender, channel},
    },
    thread::{self, Thread},
};

use super::{
    Unavailable,
    denials::Denials,
    sink::Sink,
    writer::{Command, TICK, Writer, Wrote},
};
use crate::telemetry::AuditMetrics;

/// After so many quick writes a slow sink is quick again.
const QUICK_WRITES: u32 = 8;

/// The writer, and how it is reached.
pub(super) struct Shared {
    commands: Sender<Command>,
    /// How many commands wait to be received.
    waiting: Arc<AtomicIsize>,
    /// `None` once the trail has ended: its output is closed then.
    writer: Mutex<Option<Writer>>,
    /// The thread writes, and calls wait for it.
    is_slow: AtomicBool,
    /// A write may block for good, so that it is always the thread's.
    may_block: bool,
    is_closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(super) fn new(sink: Sink, denials: Arc<Denials>, metrics: AuditMetrics) -> Self {
        let (commands, received) = channel();
        let waiting = Arc::<AtomicIsize>::default();
        let may_block = sink.may_block();
        Self {
            commands,
            waiting: waiting.clone(),
            writer: Mutex::new(Some(Writer::new(received, waiting, sink, denials, metrics))),
            is_slow: AtomicBool::new(may_block),
            may_block,
            is_closed: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Whether the trail has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Hands in a command; a line is written by whoever writes next.
    pub(super) fn send(&self, command: Command) -> Result<(), Unavailable> {
        if self.is_closed() {
            return Err(Unavailable::Ended);
        }
        self.commands.send(command).map_err(|_| Unavailable::Ended)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Hands in a command that the thread is to see at once.
    pub(super) fn send_to_thread(&self, command: Command) {
        // A trail that has ended needs no command.
        let _ = self.send(command);
        self.wake_thread();
    }

    /// Writes what waits, unless somebody else does.
    pub(super) fn write_if_free(&self) {
        loop {
            // Either this sees the command of who finds the writer taken, or that one sees it free.
            fence(Ordering::SeqCst);
            if self.waiting.load(Ordering::Relaxed) <= 0 || self.is_slow.load(Ordering::Relaxed) {
                return;
            }
            let Some(mut guard) = self.try_lock() else { return };
            let Some(writer) = &mut *guard else { return };
            if writer.write_waiting() == Wrote::Slowly {
                self.is_slow.store(true, Ordering::Relaxed);
                drop(guard);
                return self.wake_thread();
            }
        }
    }

    /// The thread: it writes where the sink is slow, and looks after the file. Gives how many lines were not written
    /// once the trail is closed.
    pub(super) fn keep(&self) -> usize {
        let _ = self.thread.set(thread::current());
        loop {
            let mut guard = self.lock();
            let Some(writer) = &mut *guard else { return 0 };
            if self.is_slow.load(Ordering::Acquire) {
                self.write_while_slow(writer);
            } else if writer.tick() == Wrote::Slowly {
                self.is_slow.store(true, Ordering::Relaxed);
            }
            if writer.is_done() {
                self.is_closed.store(true, Ordering::Release);
                let lines = writer.end();
                *guard = None;
                return lines;
            }
            drop(guard);
            self.write_if_free();
            // After the work: what was handed in before the thread could be woken is seen at once.
            if !self.is_slow.load(Ordering::Acquire) {
                thread::park_timeout(TICK);
            }
        }
    }

    /// Writes until the sink is quick again, or the trail is closed.
    fn write_while_slow(&self, writer: &mut Writer) {
        let mut quick = 0;
        while !writer.is_done() && (self.may_block || quick < QUICK_WRITES) {
            match writer.wait_and_write() {
                Wrote::AtOnce => quick += 1,
                Wrote::Slowly => {
                    quick = 0;
                    writer.wait_for_the_sink();
                }
            }
        }
        self.is_slow.store(self.may_block, Ordering::Relaxed);
    }

    fn wake_thread(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
