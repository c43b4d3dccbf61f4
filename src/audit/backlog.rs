//! The lines that wait to be written, in order.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Unavailable,
    entry::{Entry, QueueSpace},
    line::Mark,
};

/// The lines that wait to be written, the oldest first; only the first can be half written.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<Waiting>);

/// A line that waits, and how much of it is written.
struct Waiting {
    entry: Arc<Entry>,
    written: usize,
    /// Some of it is in this file or in the one before it, so that it cannot be withdrawn any more.
    is_begun: bool,
    /// Released with the line.
    _space: Option<QueueSpace>,
}

impl Backlog {
    pub(super) fn push(&mut self, entry: Arc<Entry>, space: Option<QueueSpace>) {
        self.0.push_back(Waiting { entry, written: 0, is_begun: false, _space: space });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How long its lines are.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|line| line.entry.line().len()).sum()
    }

    /// Whether the first line is half written.
    pub(super) fn is_halfway(&self) -> bool {
        self.0.front().is_some_and(|line| line.written > 0)
    }

    /// Drops the lines whose calls were refused.
    pub(super) fn withdraw(&mut self) {
        self.0.retain(|line| line.is_begun || !line.entry.is_withheld());
    }

    /// Fills the buffer with what is to be written next: so many bytes, and the rest of the last line.
    pub(super) fn fill(&self, buffer: &mut Vec<u8>, most: usize) {
        buffer.clear();
        for line in &self.0 {
            buffer.extend_from_slice(&line.entry.line()[line.written..]);
            if buffer.len() >= most {
                break;
            }
        }
    }

    /// So many bytes are written: tells the calls whose lines are out, and gives each such line to `each`. Gives their number.
    pub(super) fn complete(&mut self, mut written: usize, mut each: impl FnMut(&[u8])) -> u64 {
        let mut lines = 0;
        while let Some(mut line) = self.0.pop_front() {
            let rest = line.entry.line().len() - line.written;
            if written < rest {
                line.written += written;
                line.is_begun |= written > 0;
                self.0.push_front(line);
                break;
            }
            written -= rest;
            lines += 1;
            let _ = line.entry.settle(Ok(()));
            if line.entry.is_withheld() {
                self.push(Entry::repeat(line.entry.line(), Mark::Withheld), None);
            }
            each(line.entry.line());
        }
        lines
    }

    /// Refuses the calls that wait. Keeps the line that is half written, and those whose calls go on.
    pub(super) fn fail(&mut self, why: Unavailable) {
        self.0.retain(|line| {
            let _ = line.entry.settle(Err(why));
            line.is_begun || line.entry.is_owed()
        });
    }

    /// Refuses all calls that wait; gives the number of their lines.
    pub(super) fn refuse(self, why: Unavailable) -> usize {
        for line in &self.0 {
            let _ = line.entry.settle(Err(why));
        }
        self.len()
    }

    /// The line that is half written is written whole, to the file as it is now.
    pub(super) fn rewrite_first(&mut self) {
        if let Some(first) = self.0.front_mut() {
            first.written = 0;
        }
    }

    /// These lines are written once more, with a mark.
    pub(super) fn repeat(&mut self, lost: &[u8]) {
        self.rewrite_first();
        for line in lost.split_inclusive(|byte| *byte == b'\n') {
            self.push(Entry::repeat(line, Mark::Again), None);
        }
    }
}
