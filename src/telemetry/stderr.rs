//! Standard error, written by a thread of its own, so that a reader that has stopped blocks no call.
//!
//! The crate `tracing-appender` does the same, but reports its own failures on standard output, which is
//! the audit trail's.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use prometheus::IntCounter;

/// How many lines may be queued; more are dropped.
const CAPACITY: usize = 2048;

/// How long the last lines may take at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Answered when the lines before it are written.
    Flush(SyncSender<()>),
}

/// Takes lines. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Stderr {
    messages: SyncSender<Message>,
    dropped: IntCounter,
}

impl Stderr {
    /// Starts the thread, which ends with the process.
    /// `dropped` counts the lines that could not be written.
    pub(super) fn start(dropped: IntCounter) -> Result<Self, String> {
        Self::writing_to(io::stderr(), dropped)
    }

    fn writing_to(out: impl Write + Send + 'static, dropped: IntCounter) -> Result<Self, String> {
        let (messages, received) = sync_channel(CAPACITY);
        let failed = dropped.clone();
        let thread =
            thread::Builder::new().name("log".to_owned()).spawn(move || run(&received, out, &failed));
        thread.map_err(|error| format!("the log cannot start: {error}"))?;
        Ok(Self { messages, dropped })
    }

    /// Queues a line, or drops it where too many wait already.
    pub(super) fn write(&self, line: Vec<u8>) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until the queued lines are written, for a second at most.
    pub(super) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.messages.try_send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn run(messages: &Receiver<Message>, mut out: impl Write, failed: &IntCounter) {
    for message in messages {
        match message {
            Message::Line(line) if out.write_all(&line).is_ok() => {}
            Message::Line(_) => failed.inc(),
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn start(writer: io::PipeWriter) -> Result<Stderr, String> {
        Stderr::writing_to(writer, IntCounter::new("dropped", "Dropped.").unwrap())
    }

    #[test]
    fn lines_come_out_in_order_before_a_flush_ends() {
        let (mut reader, writer) = io::pipe().unwrap();
        let stderr = start(writer).unwrap();
        stderr.write(b"first\n".into());
        stderr.clone().write(b"second\n".into());
        stderr.flush();
        drop(stderr);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\nsecond\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stderr = start(writer).unwrap();
        stderr.write(b"lost\n".into());
        stderr.flush();
        assert_eq!(stderr.dropped.get(), 1);
    }

    #[test]
    fn nobody_waits_for_a_reader_who_has_stopped() {
        let (reader, writer) = io::pipe().unwrap();
        let stderr = start(writer).unwrap();
        // More than a pipe and the queue hold.
        for _ in 0..2 * CAPACITY {
            stderr.write(vec![b'x'; 1024]);
        }
        assert!(stderr.dropped.get() > 0);
        stderr.flush();
        drop(reader);
    }
}
