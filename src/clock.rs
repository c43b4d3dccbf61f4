//! Time as a parameter: what needs the wall clock gets a [`Clock`].
//!
//! Deadlines and time-outs do not belong here; they are measured on tokio's monotonic clock.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, at most the end of the year 9999
/// (the last moment that RFC 3339 and protobuf's `Timestamp` can write).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// `None` past [`UnixMillis::MAX`].
    #[must_use]
    pub const fn new(millis: u64) -> Option<Self> {
        if millis <= Self::MAX.0 { Some(Self(millis)) } else { None }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole seconds since then.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        (self.0 / 1000).cast_signed()
    }

    /// The same as the standard library has it.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }

    /// `None` past [`UnixMillis::MAX`]. What is finer than a millisecond is dropped.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let millis = u64::try_from(duration.as_millis()).ok()?;
        Self::new(self.0.checked_add(millis)?)
    }

    /// The time from `earlier` to this; zero if it is not earlier.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time now, by the wall clock: what a token's expiry is counted from.
    fn now(&self) -> UnixMillis;

    /// The time since some moment in the past, which no step of the wall clock moves: for what must
    /// be kept for a while.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> UnixMillis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis::EPOCH.checked_add(since_epoch).unwrap_or(UnixMillis::MAX)
    }

    fn monotonic(&self) -> Duration {
        START.elapsed()
    }
}

/// A clock that moves only when it is told to: for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

#[derive(Clone, Copy, Debug)]
struct Hands {
    wall: u64,
    monotonic: u64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn new(now: UnixMillis) -> Self {
        Self(Mutex::new(Hands { wall: now.0, monotonic: 0 }))
    }

    /// Lets time pass, by both readings at once.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.wall += millis;
        hands.monotonic += millis;
    }

    /// Sets the wall clock, forward or back, as an administrator would.
    pub fn step(&self, millis: i64) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.wall = hands.wall.saturating_add_signed(millis);
    }

    fn hands(&self) -> Hands {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::new(self.hands().wall).unwrap_or(UnixMillis::MAX)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.hands().monotonic)
    }
}
