//! Denials in a flood: few of a caller's have lines of their own, and the rest one line a second.

use std::time::Instant;

use super::line::{Line, Summary};
use crate::{
    clock::UnixMillis,
    flood::{self, Flood, keep_shared},
};

/// What callers were denied.
#[derive(Debug)]
pub(super) struct Denials(Flood<Sum>);

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
        Self(Flood::new(now))
    }

    /// Whether a denial has a line of its own, of so many bytes. If not, it is counted.
    pub(super) fn has_line(&self, line: &Line<'_>, bytes: usize, now: Instant) -> bool {
        self.0.has_line(line.principal, bytes, || Sum::of(line), now)
    }

    /// The summaries of the last second, if it is over or this `is_last`: a line for each caller. Where that would be too
    /// many, one line for the rest.
    pub(super) fn sum_up(&self, now: Instant, is_last: bool) -> Vec<Box<[u8]>> {
        let mut lines = Vec::new();
        self.0.sum_up(now, is_last, |principal, sum| {
            let line = sum.line(principal.unwrap_or_default()).render();
            let bytes = line.len();
            lines.push(line);
            bytes
        });
        lines
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

impl flood::Sum for Sum {
    fn add(&mut self, other: Self) {
        self.summary.count += other.summary.count;
        self.summary.since = self.summary.since.min(other.summary.since);
        self.until = self.until.max(other.until);
        keep_shared(&mut self.rpc, &other.rpc);
        keep_shared(&mut self.project, &other.project);
        keep_shared(&mut self.reason, &other.reason);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{audit::Decision, flood::WINDOW};

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
