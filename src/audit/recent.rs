//! The lines written last, for a file that is copied and then truncated: what was written between
//! the two is in neither, and nobody tells.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long after a line the file may be truncated without losing it.
const KEPT: Duration = Duration::from_secs(10);

/// How many bytes of lines may be written between the copy's end and the truncation.
const CAPACITY: usize = 4 * 1024 * 1024;

/// Lines, the oldest first.
#[derive(Default)]
pub(super) struct Recent {
    lines: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Recent {
    /// Keeps a line that was written at `now`.
    pub(super) fn push(&mut self, now: Instant, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back((now, line));
        self.forget(now);
    }

    /// Whether a truncation could lose any.
    pub(super) fn is_empty(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.lines.is_empty()
    }

    /// Gives all of them away.
    pub(super) fn take(&mut self, now: Instant) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.forget(now);
        std::mem::take(self).lines.into_iter().map(|(_, line)| line)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((written, line)) = self.lines.front() {
            if self.bytes <= CAPACITY && now.duration_since(*written) < KEPT {
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
        let (mut recent, start) = (Recent::default(), Instant::now());
        recent.push(start, vec![1]);
        recent.push(start + KEPT / 2, vec![2]);
        assert!(!recent.is_empty(start + KEPT));
        assert_eq!(recent.take(start + KEPT).collect::<Vec<_>>(), [[2]]);
        assert!(recent.is_empty(start));

        for index in 0..3 {
            recent.push(start, vec![index; CAPACITY / 2]);
        }
        assert_eq!(recent.take(start).map(|line| line[0]).collect::<Vec<_>>(), [1, 2]);
    }
}
