//! The queue of conversions: one runs at a time, the others wait.
//!
//! A pure calculation over the times that are passed in. It has no timers: [`Lane::settle`] lets
//! everything happen that is due. It does not know what a conversion is.

use std::{collections::VecDeque, time::Duration};

use crate::clock::UnixMillis;

/// A lane: the unfinished jobs of one type, in one region of one project.
#[derive(Debug, Default)]
pub(super) struct Lane {
    running: Option<Run>,
    /// In the order in which they are to run.
    waiting: VecDeque<Job>,
    /// Since when nothing runs.
    free_since: Option<UnixMillis>,
}

/// A job that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    /// It does not run before.
    pub(super) ready_at: UnixMillis,
    /// How long it runs. With zero it ends when it would start.
    pub(super) length: Duration,
}

#[derive(Debug)]
struct Run {
    job: Job,
    since: UnixMillis,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Waiting,
    Running { percentage: u8 },
}

/// An end of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

impl Lane {
    /// How many jobs are not finished.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// The jobs' ids: the running one, then the others in the order in which they are to run.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let running = self.running.iter().map(|run| &run.job);
        running.chain(&self.waiting).map(|job| job.id.as_str())
    }

    /// Where a job was when the lane was last settled; `None`: it is not in this lane.
    pub(super) fn position(&self, id: &str, now: UnixMillis) -> Option<Position> {
        if let Some(run) = self.running.as_ref().filter(|run| run.job.id == id) {
            return Some(Position::Running { percentage: run.percentage(now) });
        }
        self.waiting_index(id).map(|_| Position::Waiting)
    }

    /// Adds a job behind the others.
    pub(super) fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Moves a waiting job to an end of the queue. `false`: it does not wait.
    pub(super) fn move_to(&mut self, id: &str, end: End) -> bool {
        let Some(job) = self.waiting_index(id).and_then(|index| self.waiting.remove(index)) else {
            return false;
        };
        match end {
            End::Front => self.waiting.push_front(job),
            End::Back => self.waiting.push_back(job),
        }
        true
    }

    /// Takes a job out at `now`, running or not. `false`: it is not in this lane.
    pub(super) fn remove(&mut self, id: &str, now: UnixMillis) -> bool {
        if self.running.as_ref().is_some_and(|run| run.job.id == id) {
            self.running = None;
            self.free_since = Some(now);
            return true;
        }
        self.waiting_index(id).and_then(|index| self.waiting.remove(index)).is_some()
    }

    /// Lets everything happen that is due by `now`; gives the jobs that ended, and when.
    pub(super) fn settle(&mut self, now: UnixMillis) -> Vec<(String, UnixMillis)> {
        let mut ended = Vec::new();
        loop {
            if let Some(run) = self.running.take() {
                let end = run.end();
                if end > now {
                    self.running = Some(run);
                    return ended;
                }
                self.free_since = Some(end);
                ended.push((run.job.id, end));
            }
            let Some((index, since)) = self.next_start().filter(|(_, since)| *since <= now) else {
                return ended;
            };
            self.running = self.waiting.remove(index).map(|job| Run { job, since });
        }
    }

    /// Which waiting job starts next, and when: of those that are ready first, the foremost. A job
    /// at the front that is not ready yet does not block the others.
    fn next_start(&self) -> Option<(usize, UnixMillis)> {
        let start = |job: &Job| self.free_since.map_or(job.ready_at, |free| free.max(job.ready_at));
        self.waiting
            .iter()
            .enumerate()
            .map(|(index, job)| (index, start(job)))
            .min_by_key(|(_, since)| *since)
    }

    fn waiting_index(&self, id: &str) -> Option<usize> {
        self.waiting.iter().position(|job| job.id == id)
    }
}

impl Run {
    fn end(&self) -> UnixMillis {
        self.since.checked_add(self.job.length).unwrap_or(UnixMillis::MAX)
    }

    /// 0 to 99: it grows linearly, and what runs is not done.
    fn percentage(&self, now: UnixMillis) -> u8 {
        let elapsed = now.saturating_since(self.since).as_millis();
        let percentage = elapsed * 100 / self.job.length.as_millis().max(1);
        u8::try_from(percentage.min(99)).unwrap_or(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> UnixMillis {
        UnixMillis::new(millis).unwrap()
    }

    /// Jobs that are ready at 100, run for 300, and are named as they were pushed.
    fn lane(ids: &[&str]) -> Lane {
        let mut lane = Lane::default();
        for id in ids {
            push(&mut lane, id, 100, 300);
        }
        lane
    }

    fn push(lane: &mut Lane, id: &str, ready_at: u64, millis: u64) {
        lane.push(Job { id: id.into(), ready_at: at(ready_at), length: Duration::from_millis(millis) });
    }

    fn ended(lane: &mut Lane, now: u64) -> Vec<(String, u64)> {
        lane.settle(at(now)).into_iter().map(|(id, at)| (id, at.get())).collect()
    }

    #[test]
    fn a_job_waits_runs_and_ends() {
        let mut lane = lane(&["a"]);
        assert!(ended(&mut lane, 99).is_empty());
        assert_eq!(lane.position("a", at(99)), Some(Position::Waiting));
        assert!(ended(&mut lane, 100).is_empty());
        assert_eq!(lane.position("a", at(100)), Some(Position::Running { percentage: 0 }));
        assert_eq!(lane.position("a", at(250)), Some(Position::Running { percentage: 50 }));
        assert_eq!(lane.position("a", at(399)), Some(Position::Running { percentage: 99 }));
        assert_eq!(ended(&mut lane, 400), [("a".to_owned(), 400)]);
        assert_eq!((lane.position("a", at(400)), lane.len()), (None, 0));
    }

    #[test]
    fn one_runs_at_a_time_and_a_late_look_sees_the_same_times() {
        let mut lane = lane(&["a", "b", "c"]);
        assert_eq!(ended(&mut lane, 900), [("a".to_owned(), 400), ("b".to_owned(), 700)]);
        assert_eq!(lane.position("c", at(900)), Some(Position::Running { percentage: 66 }));
    }

    #[test]
    fn a_moved_job_overtakes_only_those_that_wait() {
        let mut lane = lane(&["a", "b", "c"]);
        lane.settle(at(100));
        assert!(lane.move_to("c", End::Front) && lane.move_to("b", End::Back));
        assert!(!lane.move_to("a", End::Back) && !lane.move_to("x", End::Front));
        assert_eq!(lane.ids().collect::<Vec<_>>(), ["a", "c", "b"]);
        assert_eq!(ended(&mut lane, 700), [("a".to_owned(), 400), ("c".to_owned(), 700)]);
    }

    #[test]
    fn a_job_at_the_front_that_is_not_ready_keeps_nobody_waiting() {
        let mut lane = lane(&["a"]);
        push(&mut lane, "late", 5_000, 300);
        assert!(lane.move_to("late", End::Front));
        assert_eq!(ended(&mut lane, 400), [("a".to_owned(), 400)]);
    }

    #[test]
    fn a_removed_job_makes_room_at_once() {
        let mut lane = lane(&["a", "b"]);
        lane.settle(at(150));
        assert!(lane.remove("a", at(150)) && !lane.remove("a", at(150)));
        lane.settle(at(150));
        assert_eq!(lane.position("b", at(150)), Some(Position::Running { percentage: 0 }));
        assert_eq!(ended(&mut lane, 450), [("b".to_owned(), 450)]);
    }

    #[test]
    fn a_job_of_no_length_ends_when_it_would_start() {
        let mut lane = lane(&["a"]);
        push(&mut lane, "broken", 100, 0);
        assert_eq!(ended(&mut lane, 400), [("a".to_owned(), 400), ("broken".to_owned(), 400)]);
    }
}
