//! The log: all lines, of every level, are searched for secret keys, and a thread can keep its own.
//!
//! There is one subscriber for all threads: `tracing` caches for all that a call site has no subscriber.

use std::{
    cell::RefCell,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, Once},
};

use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    fmt::{MakeWriter, layer},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::canary;

/// Keeps every line of ours that is logged on this thread until it is dropped.
pub(crate) struct Log(Lines);

type Lines = Arc<Mutex<Vec<u8>>>;

thread_local! {
    static KEPT: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Searches all later log lines.
pub(crate) fn look_through_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let is_ours = filter_fn(|metadata| metadata.target().starts_with("inkpass"));
        let layer = layer().with_writer(ToThread).with_ansi(false).with_filter(is_ours);
        tracing_subscriber::registry().with(layer).init();
    });
}

/// The lines of a file that a program is writing to, without one that has come in part only.
pub(crate) fn whole_lines(path: &Path) -> String {
    let mut text = fs::read(path).unwrap();
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    String::from_utf8(text).unwrap()
}

impl Log {
    pub(crate) fn start() -> Self {
        look_through_logs();
        let lines = Lines::default();
        KEPT.set(Some(lines.clone()));
        Self(lines)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines have this in them.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.text().lines().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        KEPT.take();
    }
}

/// Searches a line, and adds it to those that the thread keeps.
struct ToThread;

impl io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        canary::look_through("a log line", bytes);
        KEPT.with_borrow(|kept| {
            if let Some(lines) = kept {
                lines.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ToThread {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
