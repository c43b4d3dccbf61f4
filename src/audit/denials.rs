//! Denials in a flood: few of a caller's have lines of their own, and the rest one line a second.
//!
//! So nobody fills the disk, or the queue, with what was refused. Nothing is left uncounted.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::line::{Line, Summary};
use crate::{clock::UnixMillis, per_principal::PerPrincipal};

/// A caller's denials are counted again from nought after so long, and summed up as often.
const WINDOW: Duration = Duration::from_secs(1);

/// How many of a caller's denials have a line of their own, and how many bytes these have together.
const LINES: u32 = 5;
const BYTES: usize = 8 * 1024;

/// How many bytes the lines of all callers' denials have in a second, and how many their summaries.
const ALL_BYTES: usize = 128 * 1024;
const SUMMARY_BYTES: usize = 128 * 1024;

/// What callers were denied.
#[derive(Debug)]
pub(super) struct Denials {
    callers: PerPrincipal<Mutex<Denied>>,
    /// The bytes of lines of their own, since the last summaries.
    bytes: AtomicUsize,
    summed_up: Mutex<Instant>,
}

/// What one caller was denied.
#[derive(Debug, Default)]
struct Denied {
    began: Option<Instant>,
    lines: u32,
    bytes: usize,
    sum: Option<Sum>,
}

/// Denials that have no line of their own.
#[derive(Debug)]
struct Sum {
    summary: Summary,
    until: UnixMillis,
    /// What they share; empty where they differ.
    rpc: Box<str>,
    project: Box<str>,
    reason: Box<str>,
}

impl Denials {
    pub(super) fn new(now: Instant) -> Self {
        Self { callers: PerPrincipal::default(), bytes: AtomicUsize::new(0), summed_up: Mutex::new(now) }
    }

    /// Whether a denial has a line of its own, of so many bytes. If not, it is counted.
    pub(super) fn has_line(&self, line: &Line<'_>, bytes: usize, now: Instant) -> bool {
        let is_idle = |denied: &Mutex<Denied>| lock(denied).is_idle(now);
        self.callers.with(line.principal, is_idle, |denied| {
            let mut denied = lock(denied);
            let has_line = denied.fits(bytes, now) && self.take(bytes);
            if has_line {
                denied.lines += 1;
                denied.bytes += bytes;
            } else {
                denied.add(line);
            }
            has_line
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= ALL_BYTES);
        self.bytes.try_update(Relaxed, Relaxed, fits).is_ok()
    }

    /// The summaries of the last second, if it is over or this `is_last`: a line for each caller. Where that would be too
    /// many, one line for the rest.
    pub(super) fn sum_up(&self, now: Instant, is_last: bool) -> Vec<Box<[u8]>> {
        {
            let mut last = lock(&self.summed_up);
            if now.saturating_duration_since(*last) < WINDOW && !is_last {
                return Vec::new();
            }
            *last = now;
        }
        self.bytes.store(0, Relaxed);
        let (mut lines, mut bytes, mut rest) = (Vec::new(), 0, None::<Sum>);
        self.callers.for_each(|principal, denied| {
            let Some(sum) = lock(denied).sum.take() else { return };
            if bytes < SUMMARY_BYTES {
                let line = sum.line(principal).render();
                bytes += line.len();
                lines.push(line);
            } else if let Some(rest) = &mut rest {
                rest.add(&sum.line(principal));
            } else {
                rest = Some(sum);
            }
        });
        lines.extend(rest.map(|rest| rest.line("").render()));
        lines
    }
}

impl Denied {
    /// Whether one more line fits into this second's.
    fn fits(&mut self, bytes: usize, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            *self = Self { began: Some(now), lines: 0, bytes: 0, sum: self.sum.take() };
        }
        self.lines < LINES && self.bytes + bytes <= BYTES
    }

    fn add(&mut self, line: &Line<'_>) {
        match &mut self.sum {
            Some(sum) => sum.add(line),
            None => self.sum = Some(Sum::of(line)),
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        let is_old = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        self.sum.is_none() && self.began.is_none_or(is_old)
    }
}

impl Sum {
    fn of(line: &Line<'_>) -> Self {
        Self {
            summary: Summary { count: 1, since: line.time },
            until: line.time,
            rpc: line.rpc.into(),
            project: line.project.into(),
            reason: line.reason.into(),
        }
    }

    /// Adds a denial, or a summary of some.
    fn add(&mut self, line: &Line<'_>) {
        let Summary { count, since } =
            line.summary.copied().unwrap_or(Summary { count: 1, since: line.time });
        self.summary.count += count;
        self.summary.since = self.summary.since.min(since);
        self.until = self.until.max(line.time);
        let shared =
            [(&mut self.rpc, line.rpc), (&mut self.project, line.project), (&mut self.reason, line.reason)];
        for (ours, theirs) in shared {
            if **ours != *theirs {
                *ours = Box::default();
            }
        }
    }

    fn line<'a>(&'a self, principal: &'a str) -> Line<'a> {
        Line {
            principal,
            project: &self.project,
            reason: &self.reason,
            summary: Some(&self.summary),
            ..Line::new(self.until, &self.rpc, super::Decision::Deny)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::audit::Decision;

    fn denial<'a>(principal: &'a str, reason: &'a str, millis: u64) -> Line<'a> {
        let time = UnixMillis::new(millis).unwrap();
        Line { principal, reason, project: "default", ..Line::new(time, "a.B/C", Decision::Deny) }
    }

    fn sum_up(denials: &Denials, now: Instant) -> Vec<Value> {
        denials.sum_up(now, false).iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn the_first_few_have_lines_and_the_rest_one_a_second_with_what_they_share() {
        let start = Instant::now();
        let denials = Denials::new(start);
        let own = |millis| denials.has_line(&denial("key:a", "POLICY_DENIED", millis), 300, start);
        assert_eq!((0..1000).filter(|millis| own(*millis)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(!denials.has_line(&denial("key:a", "REGION_FORBIDDEN", 1000), 300, start));
        assert!(denials.has_line(&denial("key:b", "POLICY_DENIED", 0), 300, start));
        assert!(sum_up(&denials, start + WINDOW / 2).is_empty(), "the second is not over");

        let lines = sum_up(&denials, start + WINDOW);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["mark"], &line["count"]), (&"summary".into(), &996.into()));
        assert_eq!((&line["principal"], &line["rpc"]), (&"key:a".into(), &"a.B/C".into()));
        assert_eq!(
            (&line["since"], &line["time"]),
            (&"1970-01-01T00:00:00.005Z".into(), &"1970-01-01T00:00:01.000Z".into())
        );
        assert!(line["reason"].is_null() && line["project"] == "default", "{line}");
        assert!(sum_up(&denials, start + WINDOW * 2).is_empty());
        assert!(denials.has_line(&denial("key:a", "POLICY_DENIED", 2000), 300, start + WINDOW));
    }

    #[test]
    fn few_long_lines_and_those_of_many_callers_are_bounded_in_bytes_and_all_are_counted() {
        let start = Instant::now();
        let denials = Denials::new(start);
        let long = (0..5).filter(|_| denials.has_line(&denial("key:a", "R", 0), 3000, start));
        assert_eq!(long.count(), 2);
        let names: Vec<_> = (0..5000).map(|number| format!("key:{number}")).collect();
        let mut with_line = 2;
        for name in names.iter().cycle().take(20_000) {
            with_line += u64::from(denials.has_line(&denial(name, "R", 0), 300, start));
        }
        let lines = denials.sum_up(start + WINDOW, false);
        let bytes =
            lines.iter().map(|line| line.len()).sum::<usize>() + 300 * usize::try_from(with_line).unwrap();
        assert!((128 * 1024..258 * 1024).contains(&bytes), "{bytes}");
        let counted: u64 = lines
            .iter()
            .map(|line| serde_json::from_slice::<Value>(line).unwrap()["count"].as_u64().unwrap())
            .sum();
        assert_eq!(counted + with_line, 20_005);
    }
}
