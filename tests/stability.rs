//! The wall clock that is stepped: row 40 of the fault cases.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use inkpass::{
    clock::{Clock, ManualClock, SystemClock, UnixMillis},
    stability::{LARGEST_STEP, SETTLING, Stability, TICK, Unstable},
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry};

use crate::helpers::{NOW, place::Place, skipped::not_installed, until};

const HOUR: i64 = 3_600_000;

/// A tick before the clock is used again.
const ALMOST_SETTLED: Duration = SETTLING.saturating_sub(TICK);

fn world() -> (Arc<ManualClock>, Stability) {
    let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
    (clock.clone(), Stability::new(clock))
}

/// Lets time pass as it does in a service: tick by tick.
fn pass(clock: &ManualClock, stability: &Stability, time: Duration) {
    for _ in 0..time.as_secs() {
        clock.advance(TICK);
        stability.tick();
    }
}

#[test]
fn an_hour_s_step_stops_signing_at_once_and_until_the_clock_was_stable_for_a_while() {
    for step in [HOUR, -HOUR] {
        let (clock, stability) = world();
        pass(&clock, &stability, Duration::from_mins(1));
        assert_eq!(stability.now(), Ok(clock.now()));
        clock.step(step);
        assert_eq!(stability.now(), Err(Unstable), "before any tick has seen it");
        assert!(!stability.is_stable());
        stability.tick();
        pass(&clock, &stability, ALMOST_SETTLED);
        assert_eq!(stability.now(), Err(Unstable), "{step}");
        pass(&clock, &stability, TICK);
        assert_eq!(stability.now(), Ok(clock.now()), "{step}");
    }
}

#[test]
fn a_tick_alone_finds_a_step() {
    let (clock, stability) = world();
    clock.step(HOUR);
    assert!(stability.is_stable());
    stability.tick();
    assert!(!stability.is_stable());
}

#[test]
fn a_leap_second_and_a_step_of_five_seconds_change_nothing() {
    for step in [1000, -1000, 5000, -5000] {
        let (clock, stability) = world();
        clock.step(step);
        assert_eq!(stability.now(), Ok(clock.now()), "{step}");
        pass(&clock, &stability, TICK);
        assert_eq!(stability.now(), Ok(clock.now()), "{step}");
    }
    let (clock, stability) = world();
    clock.step(LARGEST_STEP.as_millis().try_into().unwrap());
    clock.step(1);
    assert_eq!(stability.now(), Err(Unstable));
}

#[test]
fn a_smeared_leap_second_changes_nothing() {
    let (clock, stability) = world();
    for _ in 0..100 {
        clock.step(10);
        pass(&clock, &stability, TICK);
        assert_eq!(stability.now(), Ok(clock.now()));
    }
}

#[test]
fn small_steps_in_a_row_count_as_one_and_far_apart_as_none() {
    let (clock, stability) = world();
    for _ in 0..2 {
        assert!(stability.now().is_ok());
        clock.step(4000);
        pass(&clock, &stability, TICK);
    }
    assert_eq!(stability.now(), Err(Unstable));

    let (clock, stability) = world();
    for _ in 0..10 {
        clock.step(4000);
        assert_eq!(stability.now(), Ok(clock.now()));
        pass(&clock, &stability, Duration::from_mins(1));
        assert_eq!(stability.now(), Ok(clock.now()));
    }
}

#[test]
fn another_step_restarts_the_wait() {
    let (clock, stability) = world();
    clock.step(HOUR);
    stability.tick();
    pass(&clock, &stability, SETTLING / 2);
    clock.step(-HOUR);
    stability.tick();
    pass(&clock, &stability, ALMOST_SETTLED);
    assert_eq!(stability.now(), Err(Unstable));
    pass(&clock, &stability, TICK);
    assert_eq!(stability.now(), Ok(clock.now()));
}

#[test]
fn a_step_that_is_reverted_before_a_tick_still_stops_signing_if_a_call_saw_it() {
    let (clock, stability) = world();
    clock.step(HOUR);
    assert_eq!(stability.now(), Err(Unstable));
    clock.step(-HOUR);
    assert_eq!(stability.now(), Err(Unstable));
    pass(&clock, &stability, SETTLING);
    assert_eq!(stability.now(), Ok(clock.now()));
}

#[test]
fn a_machine_that_slept_has_stepped_and_one_that_was_stopped_has_not() {
    let (clock, stability) = world();
    // Both clocks go on together, however long nobody looked.
    clock.advance(Duration::from_hours(3));
    assert_eq!(stability.now(), Ok(clock.now()));
    // The monotonic clock slept.
    clock.step(3 * HOUR);
    assert_eq!(stability.now(), Err(Unstable));
}

/// Stands still between two readings, once.
struct Interrupted {
    inner: ManualClock,
    readings: AtomicU64,
}

impl Clock for Interrupted {
    fn now(&self) -> UnixMillis {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        let monotonic = self.inner.monotonic();
        if self.readings.fetch_add(1, Ordering::SeqCst) == 2 {
            self.inner.advance(Duration::from_mins(1));
        }
        monotonic
    }
}

#[test]
fn a_process_that_was_stopped_between_two_readings_saw_no_step() {
    let inner = ManualClock::new(UnixMillis::new(NOW).unwrap());
    let clock = Arc::new(Interrupted { inner, readings: AtomicU64::new(0) });
    let stability = Stability::new(clock.clone());
    assert_eq!(stability.now(), Ok(clock.now()));
    assert!(clock.readings.load(Ordering::SeqCst) > 4, "it was read again");
}

#[tokio::test]
async fn the_watch_finds_a_step_by_itself() {
    let (clock, stability) = world();
    let stability = Arc::new(stability);
    let watch = tokio::spawn(stability.clone().watch());
    clock.step(HOUR);
    until(async || !stability.is_stable()).await;
    watch.abort();
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<Level>>>);

impl<S: Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
}

#[test]
fn a_step_is_logged_once_and_its_end_too() {
    let logged = Logged::default();
    tracing::subscriber::with_default(registry().with(logged.clone()), || {
        let (clock, stability) = world();
        clock.step(HOUR);
        for _ in 0..100 {
            stability.now().unwrap_err();
        }
        stability.tick();
        clock.step(HOUR);
        pass(&clock, &stability, 2 * SETTLING);
    });
    assert_eq!(*logged.0.lock().unwrap(), [Level::ERROR, Level::INFO]);
}

/// Where a distribution has put libfaketime.
fn libfaketime() -> Option<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    libraries.map(|path| path.join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

/// Set in the process whose clock is libfaketime's: the file that moves it.
const OFFSET: &str = "FAKETIME_TIMESTAMP_FILE";

/// The part of that process.
#[test]
#[expect(clippy::disallowed_methods, reason = "it tells the process from the tests' own")]
fn under_libfaketime() {
    let Ok(offset) = std::env::var(OFFSET) else { return };
    let stability = Stability::new(Arc::new(SystemClock));
    let mut before = stability.now().unwrap().get();
    for (seconds, is_step) in [("+1", false), ("+3600", true), ("-3600", true)] {
        fs::write(&offset, seconds).unwrap();
        assert_eq!(stability.now().is_err(), is_step, "{seconds}");
        assert!(SystemClock.now().get().abs_diff(before) >= 1000, "{seconds} moved nothing");
        before = SystemClock.now().get();
    }
    println!("steps were seen");
}

#[test]
fn steps_of_the_system_s_clock_are_seen() {
    let Some(library) = libfaketime() else {
        not_installed("libfaketime (package faketime)");
        return;
    };
    let directory = Place::new();
    let offset = directory.path().join("offset");
    fs::write(&offset, "+0").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stability::under_libfaketime", "--nocapture"]);
    command.env("LD_PRELOAD", library).env(OFFSET, &offset);
    let output =
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("steps were seen"), "{output:?}");
}
