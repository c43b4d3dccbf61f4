//! Whether the wall clock can be signed by: it is held against the monotonic clock, which nobody
//! can set.
//!
//! A token's expiry is counted from the wall clock. After a step of more than [`LARGEST_STEP`]
//! nothing is signed until there was none for [`SETTLING`]. It is looked for every second, and at
//! each signing too, so that no token is signed between a step and its discovery.
//!
//! Slewing (NTP's usual correction, a smeared leap second) moves both clocks alike or by less than
//! a step. Where a machine sleeps, the monotonic clock stands still and the wall clock is set when
//! it wakes: that is a step, and rightly so, for the time may not be synchronised yet. Where a
//! hypervisor stops and resumes a machine, both clocks may stand still alike; the step is then seen
//! when NTP sets the wall clock right.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{Clock, UnixMillis};

/// The largest step that is taken for none.
pub const LARGEST_STEP: Duration = Duration::from_secs(5);

/// How long there must have been no step before the clock is used again.
pub const SETTLING: Duration = Duration::from_secs(10);

/// How often the clocks are compared.
pub const TICK: Duration = Duration::from_secs(1);

/// How much of a difference is forgotten at each tick, in milliseconds. Small steps that come
/// faster count as one large step.
const FORGOTTEN_MILLIS: i64 = 100;

/// How long two readings may be apart, in milliseconds: a process that was stopped between them saw
/// no step.
const LONGEST_READING_MILLIS: i64 = 500;

/// The wall clock was stepped, and has not been stable for long enough since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock was stepped")]
pub struct Unstable;

/// Holds the wall clock against the monotonic one.
pub struct Stability {
    clock: Arc<dyn Clock>,
    is_stable: AtomicBool,
    /// What the wall clock is ahead of the monotonic one, in milliseconds, as it was agreed.
    agreed: AtomicI64,
    /// The last step, by the monotonic clock, while it is remembered.
    stepped: Mutex<Option<Duration>>,
}

impl Stability {
    /// Takes the clock as it is now for right.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let agreed = read(&*clock).ahead;
        Self {
            clock,
            is_stable: AtomicBool::new(true),
            agreed: AtomicI64::new(agreed),
            stepped: Mutex::new(None),
        }
    }

    /// Whether the clock was stable when it was last looked at.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.is_stable.load(Ordering::SeqCst)
    }

    /// The time now, whether or not it can be signed by.
    #[must_use]
    pub fn wall_time(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The time now, to sign with.
    ///
    /// # Errors
    /// [`Unstable`], from the first reading after a step on.
    pub fn now(&self) -> Result<UnixMillis, Unstable> {
        let reading = read(&*self.clock);
        if self.differs(&reading) {
            self.note_step(&reading);
        }
        // Last, because a tick gives it up before it agrees to another difference.
        if self.is_stable() { Ok(reading.wall) } else { Err(Unstable) }
    }

    /// Compares the clocks once; to be called every [`TICK`].
    pub fn tick(&self) {
        let reading = read(&*self.clock);
        if self.differs(&reading) {
            self.note_step(&reading);
            self.agreed.store(reading.ahead, Ordering::SeqCst);
            return;
        }
        let difference = reading.ahead - self.agreed.load(Ordering::SeqCst);
        self.agreed.fetch_add(difference.clamp(-FORGOTTEN_MILLIS, FORGOTTEN_MILLIS), Ordering::SeqCst);

        let mut stepped = self.stepped.lock().unwrap_or_else(PoisonError::into_inner);
        if stepped.is_some_and(|at| reading.monotonic.saturating_sub(at) >= SETTLING) {
            *stepped = None;
            self.is_stable.store(true, Ordering::SeqCst);
            tracing::info!("the wall clock is stable again; signing goes on");
        }
    }

    /// Compares the clocks for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn differs(&self, reading: &Reading) -> bool {
        let difference = reading.ahead.abs_diff(self.agreed.load(Ordering::SeqCst));
        Duration::from_millis(difference) > LARGEST_STEP
    }

    /// Gives the clock up, and logs that once.
    fn note_step(&self, reading: &Reading) {
        let mut stepped = self.stepped.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_stable.store(false, Ordering::SeqCst);
        if stepped.replace(reading.monotonic).is_none() {
            let step = reading.ahead - self.agreed.load(Ordering::SeqCst);
            tracing::error!(
                step_ms = step,
                "the wall clock was stepped; nothing is signed until it is stable"
            );
        }
    }
}

/// Both clocks at one moment.
struct Reading {
    wall: UnixMillis,
    monotonic: Duration,
    /// What the wall clock is ahead, in milliseconds.
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
