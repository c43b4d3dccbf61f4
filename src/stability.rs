//! Detects steps of the wall clock, by comparing it with the monotonic clock, which cannot be set.
//!
//! A token's expiry is counted from the wall clock. After a step of more than [`LARGEST_STEP`] nothing is
//! signed until there was no step for [`SETTLING`]. The clocks are compared every second and at each
//! signing, so that no token is signed between a step and its detection.
//!
//! Slewing (NTP's usual correction, a smeared leap second) moves both clocks alike or by less than a
//! step. A machine that wakes from sleep has a step: its monotonic clock stood still, and its time may not
//! be synchronised yet. A hypervisor that pauses a machine may stop both clocks; then the step is seen when
//! NTP corrects the wall clock.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{Clock, UnixMillis};

/// The largest step that is tolerated.
pub const LARGEST_STEP: Duration = Duration::from_secs(5);

/// How long there must be no step before the clock is used again.
pub const SETTLING: Duration = Duration::from_secs(10);

/// How often the clocks are compared.
pub const TICK: Duration = Duration::from_secs(1);

/// How much drift each tick absorbs, in milliseconds. Faster small steps count as one large step.
const ABSORBED_MILLIS: i64 = 100;

/// The longest time between two readings, in milliseconds: a process that was stopped between them saw no
/// step.
const LONGEST_READING_MILLIS: i64 = 500;

/// The wall clock was stepped, and has not been stable for long enough since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock was stepped")]
pub struct Unstable;

/// Compares the wall clock with the monotonic clock.
pub struct Stability {
    clock: Arc<dyn Clock>,
    is_stable: AtomicBool,
    /// The expected lead of the wall clock over the monotonic one, in milliseconds.
    expected: AtomicI64,
    /// When the last step was, by the monotonic clock, until the clock is stable again.
    stepped: Mutex<Option<Duration>>,
}

impl Stability {
    /// Assumes that the clock is right now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let expected = read(&*clock).ahead;
        Self {
            clock,
            is_stable: AtomicBool::new(true),
            expected: AtomicI64::new(expected),
            stepped: Mutex::new(None),
        }
    }

    /// Whether the clock was stable at the last comparison.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.is_stable.load(Ordering::SeqCst)
    }

    /// The wall time, which may be unstable.
    #[must_use]
    pub fn wall_time(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The wall time, to sign with.
    ///
    /// # Errors
    /// [`Unstable`], from the first reading after a step on.
    pub fn now(&self) -> Result<UnixMillis, Unstable> {
        let reading = read(&*self.clock);
        if self.differs(&reading) {
            self.note_step(&reading);
        }
        // Last, because a tick marks the clock unstable before it expects another lead.
        if self.is_stable() { Ok(reading.wall) } else { Err(Unstable) }
    }

    /// Compares the clocks once; to be called every [`TICK`].
    pub fn tick(&self) {
        let reading = read(&*self.clock);
        if self.differs(&reading) {
            self.note_step(&reading);
            self.expected.store(reading.ahead, Ordering::SeqCst);
            return;
        }
        let difference = reading.ahead - self.expected.load(Ordering::SeqCst);
        self.expected.fetch_add(difference.clamp(-ABSORBED_MILLIS, ABSORBED_MILLIS), Ordering::SeqCst);

        let mut stepped = self.stepped.lock().unwrap_or_else(PoisonError::into_inner);
        if stepped.is_some_and(|at| reading.monotonic.saturating_sub(at) >= SETTLING) {
            *stepped = None;
            self.is_stable.store(true, Ordering::SeqCst);
            tracing::info!("the wall clock is stable again; signing resumes");
        }
    }

    /// Compares the clocks every [`TICK`].
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn differs(&self, reading: &Reading) -> bool {
        let difference = reading.ahead.abs_diff(self.expected.load(Ordering::SeqCst));
        Duration::from_millis(difference) > LARGEST_STEP
    }

    /// Marks the clock unstable, and logs a step once.
    fn note_step(&self, reading: &Reading) {
        let mut stepped = self.stepped.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_stable.store(false, Ordering::SeqCst);
        if stepped.replace(reading.monotonic).is_none() {
            let step = reading.ahead - self.expected.load(Ordering::SeqCst);
            tracing::error!(
                step_ms = step,
                "the wall clock was stepped; nothing is signed until it is stable; check time synchronisation"
            );
        }
    }
}

/// Both clocks, read together.
struct Reading {
    wall: UnixMillis,
    monotonic: Duration,
    /// The lead of the wall clock, in milliseconds.
    ahead: i64,
}

fn read(clock: &dyn Clock) -> Reading {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    loop {
        let before = clock.monotonic();
        let wall = clock.now();
        let monotonic = clock.monotonic();
        if millis(monotonic.saturating_sub(before)) <= LONGEST_READING_MILLIS {
            let ahead = wall.get().cast_signed() - millis(monotonic);
            return Reading { wall, monotonic, ahead };
        }
    }
}
