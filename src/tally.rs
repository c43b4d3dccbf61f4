//! A flood in the log: of each kind a few have lines of their own in a second, and the rest are counted at its end.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::Level;

const SECOND: Duration = Duration::from_secs(1);

/// So often in a second it is seen whether the process is to end, which waits for no second.
const LOOKS: u32 = 10;

/// Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Tally<K: Ord>(Arc<Inner<K>>);

struct Inner<K: Ord> {
    /// How many of a kind have a line of their own in a second.
    lines: u64,
    /// Logs how many of each kind had none.
    sum_up: Box<dyn Fn(BTreeMap<K, u64>) + Send + Sync>,
    /// What was met in this second; empty: none has begun.
    second: Mutex<BTreeMap<K, Met>>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Met {
    lines: u64,
    untold: u64,
}

impl<K: Ord + Send + 'static> Tally<K> {
    /// `tasks`: owns what ends a second.
    pub(crate) fn new(
        lines: u64,
        tasks: TaskTracker,
        sum_up: impl Fn(BTreeMap<K, u64>) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { lines, sum_up: Box::new(sum_up), second: Mutex::default(), tasks }))
    }

    /// Something of this kind was met so often; `true`: it has a line of its own.
    pub(crate) fn has_line(&self, kind: K, times: u64) -> bool {
        let mut second = self.0.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_empty() {
            let inner = self.0.clone();
            self.0.tasks.spawn(async move {
                for _ in 0..LOOKS {
                    sleep(SECOND / LOOKS).await;
                    if inner.tasks.is_closed() {
                        break;
                    }
                }
                inner.end();
            });
        }
        let met = second.entry(kind).or_default();
        let has_line = met.lines < self.0.lines;
        if has_line {
            met.lines += 1;
        } else {
            met.untold += times;
        }
        has_line
    }
}

macro_rules! sum {
    ($level:ident, $count:expr, $reasons:expr, $what:expr) => {
        tracing::$level!(count = $count, reasons = $reasons, "{}", $what)
    };
}

impl Tally<(Level, &'static str)> {
    /// Of reasons, each with the level of its lines. `what`: what the line says that sums up a level.
    pub(crate) fn of_reasons(lines: u64, tasks: TaskTracker, what: &'static str) -> Self {
        Self::new(lines, tasks, move |untold| {
            let mut sums: BTreeMap<Level, (u64, Vec<String>)> = BTreeMap::new();
            for ((level, reason), more) in untold {
                let (count, reasons) = sums.entry(level).or_default();
                *count += more;
                reasons.push(format!("{reason} {more}"));
            }
            for (level, (count, reasons)) in sums {
                let reasons = reasons.join(", ");
                match level {
                    Level::ERROR => sum!(error, count, reasons, what),
                    Level::INFO => sum!(info, count, reasons, what),
                    _ => sum!(warn, count, reasons, what),
                }
            }
        })
    }
}

impl<K: Ord> Inner<K> {
    fn end(&self) {
        let second = mem::take(&mut *self.second.lock().unwrap_or_else(PoisonError::into_inner));
        let untold: BTreeMap<_, _> = second
            .into_iter()
            .map(|(kind, met)| (kind, met.untold))
            .filter(|(_, untold)| *untold > 0)
            .collect();
        if !untold.is_empty() {
            (self.sum_up)(untold);
        }
    }
}

impl<K: Ord> Drop for Inner<K> {
    /// A process that does not wait for its tasks loses no line.
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::Instant};

    use super::*;

    #[tokio::test]
    async fn a_few_of_each_kind_have_lines_and_none_is_left_uncounted() {
        let (sums, mut summed_up) = mpsc::unbounded_channel();
        let tally = Tally::new(2, TaskTracker::new(), move |untold| sums.send(untold).unwrap());
        let lines = ["a", "a", "b", "a", "b"].map(|kind| tally.has_line(kind, 3));
        assert_eq!(lines, [true, true, true, false, true]);
        assert_eq!(summed_up.recv().await, Some(BTreeMap::from([("a", 3)])), "at the end of the second");
        assert!(tally.has_line("a", 1), "another second");
        assert!(tally.has_line("a", 1) && !tally.has_line("a", 1) && !tally.has_line("a", 4));
        assert_eq!(summed_up.recv().await, Some(BTreeMap::from([("a", 5)])));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_to_end_does_not_wait_for_the_second() {
        let (tasks, began) = (TaskTracker::new(), Instant::now());
        let tally = Tally::new(1, tasks.clone(), |_| {});
        tally.has_line("a", 1);
        tasks.close();
        tasks.wait().await;
        assert_eq!(began.elapsed(), SECOND / LOOKS);
    }

    #[tokio::test]
    async fn a_process_that_ends_loses_no_sum() {
        let (sums, mut summed_up) = mpsc::unbounded_channel();
        let tally = Tally::new(0, TaskTracker::new(), move |untold| sums.send(untold).unwrap());
        tally.0.second.lock().unwrap().insert("a", Met { lines: 0, untold: 7 });
        drop(tally);
        assert_eq!(summed_up.try_recv(), Ok(BTreeMap::from([("a", 7)])));
    }
}
