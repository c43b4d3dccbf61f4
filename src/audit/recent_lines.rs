//! The lines written last. Where a file is rotated by copying and truncating it, lines written between
//! the two are in neither file and must be repeated.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::entry::Entry;

/// How long a line is kept.
const RETENTION: Duration = Duration::from_secs(10);

/// How many bytes of lines are kept.
pub(super) const CAPACITY: usize = 4 * 1024 * 1024;

/// Lines, the oldest first.
#[derive(Default)]
pub(super) struct RecentLines {
    lines: VecDeque<(Instant, Arc<Entry>)>,
    bytes: usize,
}

impl RecentLines {
    /// Keeps a line that was written at `now`.
    pub(super) fn push(&mut self, now: Instant, line: Arc<Entry>) {
        self.bytes += line.line().len();
        self.lines.push_back((now, line));
        self.drop_old(now);
    }

    /// Gives all of them, and keeps none.
    pub(super) fn take(&mut self, now: Instant) -> impl Iterator<Item = Arc<Entry>> + use<> {
        self.drop_old(now);
        std::mem::take(self).lines.into_iter().map(|(_, line)| line)
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some((written, line)) = self.lines.front() {
            if self.bytes <= CAPACITY && now.duration_since(*written) < RETENTION {
                return;
            }
            self.bytes -= line.line().len();
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::OnFailure;

    fn line(byte: u8, length: usize) -> Arc<Entry> {
        Arc::new(Entry::new(vec![byte; length].into(), OnFailure::Deny))
    }

    fn first_bytes(recent: &mut RecentLines, now: Instant) -> Vec<u8> {
        recent.take(now).map(|entry| entry.line()[0]).collect()
    }

    #[test]
    fn lines_are_kept_for_their_time_and_within_bounds() {
        let (mut recent, start) = (RecentLines::default(), Instant::now());
        recent.push(start, line(1, 1));
        recent.push(start + RETENTION / 2, line(2, 1));
        assert_eq!(first_bytes(&mut recent, start + RETENTION), [2]);
        assert_eq!(first_bytes(&mut recent, start), [0; 0]);

        for index in 0..3 {
            recent.push(start, line(index, CAPACITY / 2));
        }
        assert_eq!(first_bytes(&mut recent, start), [1, 2]);
    }
}
