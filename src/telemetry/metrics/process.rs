//! What the kernel tells of this process, by Prometheus's own names: its own exporter's.
//!
//! The crate's `process` feature needs procfs, and that a second rustix.

use std::fs;

use prometheus::Registry;
use rustix::process::{Resource, getrlimit};

use super::{
    figures::{self, Figures},
    names::{self, Metric},
};

/// What /proc counts times in: a hundredth of a second, on every architecture that Rust's Linux runs on.
const TICKS_A_SECOND: f64 = 100.0;

static METRICS: [Metric; 7] = [
    names::PROCESS_CPU,
    names::PROCESS_RESIDENT,
    names::PROCESS_VIRTUAL,
    names::PROCESS_OPEN_FDS,
    names::PROCESS_MAX_FDS,
    names::PROCESS_START,
    names::PROCESS_THREADS,
];

pub(super) fn export(registry: &Registry) -> Result<(), prometheus::Error> {
    figures::export(registry, &METRICS, look)
}

/// What cannot be read is left out.
fn look(figures: &mut Figures<'_>) {
    let mut set = |metric, value: Option<f64>| {
        if let Some(value) = value {
            figures.set(metric, &[], value);
        }
    };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let user_and_system = field(&stat, 14).zip(field(&stat, 15));
    set(names::PROCESS_CPU, user_and_system.map(|(user, system)| (user + system) / TICKS_A_SECOND));
    let bytes = |name| line(&status, name).map(|kib| kib * 1024.0);
    set(names::PROCESS_RESIDENT, bytes("VmRSS:"));
    set(names::PROCESS_VIRTUAL, bytes("VmSize:"));
    set(names::PROCESS_THREADS, line(&status, "Threads:"));
    let booted_and_started = line(&read("/proc/stat"), "btime").zip(field(&stat, 22));
    set(names::PROCESS_START, booted_and_started.map(|(boot, ticks)| boot + ticks / TICKS_A_SECOND));
    set(names::PROCESS_OPEN_FDS, open_descriptors());
    set(names::PROCESS_MAX_FDS, getrlimit(Resource::Nofile).current.map(approximate));
}

/// The `nth` field of /proc/self/stat, 1 the first. The second is the program's name, in brackets, and may hold blanks.
fn field(stat: &str, nth: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(nth - 3)?.parse().ok()
}

/// The number in the line that begins with a name.
fn line(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Without the one that looks.
fn open_descriptors() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(approximate(open.saturating_sub(1) as u64))
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn approximate(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 9 0 12345 1000 200 1";
        let fields = [14, 15, 22].map(|nth| field(stat, nth));
        assert_eq!(fields, [Some(31.0), Some(11.0), Some(12345.0)]);
        assert_eq!([field(stat, 99), field("", 14)], [None, None]);
        assert_eq!(line("VmPeak:\t 9 kB\nVmRSS:\t 5 kB\n", "VmRSS:"), Some(5.0));
        assert_eq!(line("btime 17\n", "VmRSS:"), None);
    }
}
