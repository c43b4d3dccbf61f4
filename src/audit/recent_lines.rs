//! The lines written last. Where a file is rotated by copying and truncating it, lines written between
//! the two are in neither file and must be repeated.

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

/// How long a line is kept.
const RETENTION: Duration = Duration::from_secs(10);

/// How many bytes of lines are kept.
pub(super) const CAPACITY: usize = 4 * 1024 * 1024;

/// Lines, the oldest first: one text, because a copy costs less than an allocation that outlives its cache.
#[derive(Default)]
pub(super) struct RecentLines {
    text: VecDeque<u8>,
    /// When lines were written, and how many bytes of them at that moment.
    written: VecDeque<(Instant, usize)>,
}

impl RecentLines {
    /// Keeps a whole line that was written at `now`.
    pub(super) fn push(&mut self, now: Instant, line: &[u8]) {
        self.drop_old(now, line.len());
        self.text.reserve_exact(CAPACITY.saturating_sub(self.text.len()).max(line.len()));
        self.text.extend(line);
        match self.written.back_mut() {
            Some((at, bytes)) if *at == now => *bytes += line.len(),
            _ => self.written.push_back((now, line.len())),
        }
    }

    /// Gives all of them as one text, and keeps none.
    pub(super) fn take(&mut self, now: Instant) -> Vec<u8> {
        self.drop_old(now, 0);
        self.written.clear();
        mem::take(&mut self.text).into()
    }

    /// Gives those that were written at `since` or later, and keeps none.
    pub(super) fn take_since(&mut self, since: Instant) -> Vec<u8> {
        let older: usize =
            self.written.iter().take_while(|(at, _)| *at < since).map(|(_, bytes)| bytes).sum();
        self.text.drain(..older);
        self.written.clear();
        mem::take(&mut self.text).into()
    }

    /// Makes room for so many bytes.
    fn drop_old(&mut self, now: Instant, room: usize) {
        while let Some((at, bytes)) = self.written.front() {
            if self.text.len() + room <= CAPACITY && now.duration_since(*at) < RETENTION {
                return;
            }
            self.text.drain(..bytes);
            self.written.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_for_their_time_and_within_bounds() {
        let (mut recent, start) = (RecentLines::default(), Instant::now());
        recent.push(start, b"1\n");
        recent.push(start + RETENTION / 2, b"2\n");
        recent.push(start + RETENTION / 2, b"3\n");
        assert_eq!(recent.take(start + RETENTION), b"2\n3\n");
        assert_eq!(recent.take(start), b"");

        recent.push(start, b"1\n");
        recent.push(start + RETENTION / 2, b"2\n");
        recent.push(start + RETENTION / 2, b"3\n");
        assert_eq!(recent.take_since(start + RETENTION / 2), b"2\n3\n");
        assert_eq!(recent.take(start), b"");

        for index in 0..3 {
            recent.push(start + Duration::from_millis(index.into()), &vec![index; CAPACITY / 2]);
        }
        let kept = recent.take(start);
        assert_eq!((kept.len(), kept[0], kept[CAPACITY - 1]), (CAPACITY, 1, 2));
        assert_eq!(recent.text.capacity(), 0);
    }
}
