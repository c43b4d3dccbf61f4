//! The lines written last. Where a file is rotated by copying and truncating it, lines written between
//! the two are in neither file and must be repeated.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a line is kept.
const RETENTION: Duration = Duration::from_secs(10);

/// How many bytes of lines are kept.
const CAPACITY: usize = 4 * 1024 * 1024;

/// Lines, the oldest first.
#[derive(Default)]
pub(super) struct RecentLines {
    lines: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl RecentLines {
    /// Keeps a line that was written at `now`.
    pub(super) fn push(&mut self, now: Instant, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back((now, line));
        self.drop_old(now);
    }

    /// Whether a truncation could lose any.
    pub(super) fn is_empty(&mut self, now: Instant) -> bool {
        self.drop_old(now);
        self.lines.is_empty()
    }

    /// Gives all of them, and keeps none.
    pub(super) fn take(&mut self, now: Instant) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.drop_old(now);
        std::mem::take(self).lines.into_iter().map(|(_, line)| line)
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some((written, line)) = self.lines.front() {
            if self.bytes <= CAPACITY && now.duration_since(*written) < RETENTION {
                return;
            }
            self.bytes -= line.len();
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_for_their_time_and_within_bounds() {
        let (mut recent, start) = (RecentLines::default(), Instant::now());
        recent.push(start, vec![1]);
        recent.push(start + RETENTION / 2, vec![2]);
        assert!(!recent.is_empty(start + RETENTION));
        assert_eq!(recent.take(start + RETENTION).collect::<Vec<_>>(), [[2]]);
        assert!(recent.is_empty(start));

        for index in 0..3 {
            recent.push(start, vec![index; CAPACITY / 2]);
        }
        assert_eq!(recent.take(start).map(|line| line[0]).collect::<Vec<_>>(), [1, 2]);
    }
}
