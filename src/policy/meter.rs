//! What the principals of one grant have used of its quota.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    bucket::{Bucket, Rate, Short},
    principals::Principals,
    quota::{Limit, Quota},
};
use crate::methods::Cost;

/// How long to wait before a watch is tried again: when another one ends, nobody knows.
const WATCH_RETRY: Duration = Duration::from_secs(1);

/// What the principals of a grant have used of its quota. It outlives a reload that leaves the
/// quota as it was.
#[derive(Debug)]
pub(super) struct Meter {
    quota: Quota,
    tokens: Option<Rate>,
    upstream: Option<Rate>,
    principals: Principals<Usage>,
    /// The time of the first charge: others are counted from it.
    origin: OnceLock<Instant>,
}

/// What one principal has used.
#[derive(Debug, Default)]
struct Usage {
    tokens: Bucket,
    upstream: Bucket,
    watches: AtomicU32,
}

/// The limit that is in the way, and when it is not any more.
pub(super) type Excess = (Limit, Option<Duration>);

impl Meter {
    pub(super) fn new(quota: Quota) -> Self {
        let tokens = quota.tokens_per_second.map(|rate| Rate::new(rate, quota.burst.unwrap_or(rate)));
        let upstream = quota.upstream_per_second.map(|rate| Rate::new(rate, rate));
        Self { quota, tokens, upstream, principals: Principals::default(), origin: OnceLock::new() }
    }

    pub(super) const fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn charge(&self, principal: &str, cost: Cost, now: Instant) -> Result<WatchPlace, Excess> {
        let since_origin = now.saturating_duration_since(*self.origin.get_or_init(|| now));
        let now = u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX);
        let is_idle = |usage: &Usage| usage.is_idle(now);
        self.principals.with(principal, is_idle, |usage| self.take(usage, cost, now))
    }

    fn take(&self, usage: &Arc<Usage>, cost: Cost, now: u64) -> Result<WatchPlace, Excess> {
        // Taken first, because it gives itself back.
        let place = self.take_place(usage, cost)?;
        if let Some(rate) = self.tokens {
            usage.tokens.take(cost.tokens, rate, now).map_err(|short| match short {
                Short::For(time) => (Limit::TokensPerSecond, Some(time)),
                Short::Ever => (Limit::Burst, None),
            })?;
        }
        if let Some(rate) = self.upstream
            && let Err(short) = usage.upstream.take(cost.upstream, rate, now)
        {
            self.put_back(usage, cost.tokens);
            let time = if let Short::For(time) = short { Some(time) } else { None };
            return Err((Limit::UpstreamPerSecond, time));
        }
        Ok(place)
    }

    fn take_place(&self, usage: &Arc<Usage>, cost: Cost) -> Result<WatchPlace, Excess> {
        let Some(most) = self.quota.watches.filter(|_| cost.watch) else { return Ok(WatchPlace::UNCOUNTED) };
        let one_more = |watches: u32| (watches < most).then_some(watches + 1);
        let taken = usage.watches.try_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.map(|_| WatchPlace(Some(usage.clone()))).map_err(|_| (Limit::Watches, Some(WATCH_RETRY)))
    }

    /// Gives back what a principal took a moment ago.
    pub(super) fn put_back_for(&self, principal: &str, tokens: u32) {
        self.principals.find(principal, |usage| self.put_back(usage, tokens));
    }

    fn put_back(&self, usage: &Usage, tokens: u32) {
        if let Some(rate) = self.tokens {
            usage.tokens.put_back(tokens, rate);
        }
    }
}

impl Usage {
    /// Whether nothing tells it from a new one's.
    fn is_idle(&self, now: u64) -> bool {
        self.watches.load(Ordering::Relaxed) == 0 && self.tokens.is_full(now) && self.upstream.is_full(now)
    }
}

/// A watch that counts until this is dropped.
#[must_use = "the watch counts only as long as this lives"]
#[derive(Debug)]
pub struct WatchPlace(Option<Arc<Usage>>);

impl WatchPlace {
    /// What watches where no limit is.
    pub(super) const UNCOUNTED: Self = Self(None);
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        if let Some(usage) = &self.0 {
            usage.watches.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
