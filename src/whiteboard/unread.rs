//! What could not be read of answers, by name, for the log.

use std::collections::BTreeMap;

use tokio_util::task::TaskTracker;

use crate::{methods::Rpc, tally::Tally};

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

/// Logs each name once a second for each RPC, and at the second's end how often it was met since: a list may have
/// thousands of fields that cannot be read, and is asked for again.
pub(super) struct UnreadLog(Tally<(&'static str, &'static str)>);

impl UnreadLog {
    /// `tasks`: owns what writes a second's last line.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Tally::new(1, tasks, |untold| {
            let mut by_rpc: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for ((rpc, name), times) in untold {
                by_rpc.entry(rpc).or_default().push(counted(name, times));
            }
            for (rpc, fields) in by_rpc {
                let fields = fields.join(", ");
                tracing::warn!(
                    rpc,
                    fields,
                    "more fields of upstream answers could not be read in the last second"
                );
            }
        }))
    }

    pub(super) fn log(&self, rpc: Rpc, unread: Unread) {
        let rpc = rpc.name();
        let told = unread.0.into_iter().filter(|(name, times)| self.0.has_line((rpc, *name), *times));
        let fields = told.map(|(name, times)| counted(name, times)).collect::<Vec<_>>().join(", ");
        if !fields.is_empty() {
            tracing::warn!(rpc, fields, "fields of an upstream answer cannot be read");
        }
    }
}

fn counted(name: &str, times: u64) -> String {
    if times == 1 { name.to_owned() } else { format!("{name} ({times} times)") }
}
