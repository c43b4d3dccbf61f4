//! What could not be read of answers, by name, for the log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::methods::Rpc;

/// What could not be read of one answer, each name with how often.
#[derive(Debug, Default)]
pub(super) struct Unread(BTreeMap<&'static str, u64>);

impl Unread {
    pub(super) fn add(&mut self, name: &'static str, times: usize) {
        if times > 0 {
            *self.0.entry(name).or_default() += times as u64;
        }
    }

    pub(super) fn extend(&mut self, within: Self) {
        for (name, times) in within.0 {
            *self.0.entry(name).or_default() += times;
        }
    }
}

/// Logs each name once a second for each RPC, then with how often it was met since: a list may have thousands of fields
/// that cannot be read, and is asked for again.
#[derive(Default)]
pub(super) struct UnreadLog(Mutex<BTreeMap<(&'static str, &'static str), Told>>);

struct Told {
    at: Instant,
    since: u64,
}

impl UnreadLog {
    pub(super) fn log(&self, rpc: Rpc, unread: Unread) {
        if unread.0.is_empty() {
            return;
        }
        let fields = self.due(rpc.name(), unread, Instant::now());
        if !fields.is_empty() {
            let fields = fields.join(", ");
            tracing::warn!(rpc = rpc.name(), fields, "fields of an upstream answer cannot be read");
        }
    }

    /// What is to be told now.
    fn due(&self, rpc: &'static str, unread: Unread, now: Instant) -> Vec<String> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for (name, times) in unread.0 {
            let told = log.get_mut(&(rpc, name));
            if let Some(told) = told.filter(|told| now < told.at + Duration::from_secs(1)) {
                told.since += times;
                continue;
            }
            let since = log.insert((rpc, name), Told { at: now, since: 0 }).map_or(0, |told| told.since);
            due.push(match since + times {
                1 => name.to_owned(),
                times => format!("{name} ({times} times)"),
            });
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_told_once_a_second_and_none_is_left_uncounted() {
        let (log, now) = (UnreadLog::default(), Instant::now());
        let due = |rpc, names: &[(&'static str, usize)], after| {
            let mut unread = Unread::default();
            for (name, times) in names {
                unread.add(name, *times);
            }
            log.due(rpc, unread, now + Duration::from_millis(after))
        };
        assert_eq!(due("a", &[("limit", 1)], 0), ["limit"]);
        assert_eq!(due("a", &[("isBan", 3), ("limit", 2)], 100), ["isBan (3 times)"]);
        assert_eq!(due("b", &[("limit", 1)], 200), ["limit"]);
        assert_eq!(due("a", &[("limit", 1)], 999), [""; 0]);
        assert_eq!(due("a", &[("limit", 1)], 1000), ["limit (4 times)"]);
        assert_eq!(due("a", &[("limit", 1)], 2000), ["limit"]);
    }
}
