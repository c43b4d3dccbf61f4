//! How much a principal may do: tokens a second, upstream calls a second, watches at once.
//!
//! A quota belongs to a grant, and each principal of the grant has all of it. It holds in this
//! replica alone, and N replicas let through up to N times as much, unless they share it: `shared.rs`.
//! Time is a parameter. Charging takes no lock; only a principal's first call does.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::shared::{Bucket, Portion, SharedQuotas};
use crate::{
    methods::Cost,
    per_principal::PerPrincipal,
    rate_limiter::{Exhausted, Rate, TokenBucket},
    store::Fill,
    telemetry,
};

/// How long to wait before a watch is tried again: nobody knows when another one ends.
const WATCH_RETRY: Duration = Duration::from_secs(1);

/// A grant's `quota`. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Tokens minted a second, as a long-term rate.
    pub tokens_per_second: Option<u32>,
    /// The most tokens at once, after a pause; a second's worth where the file does not say.
    pub burst: Option<u32>,
    /// Calls that go upstream, a second; a second's worth at once.
    pub upstream_per_second: Option<u32>,
    /// Watches at once.
    pub watches: Option<u32>,
}

/// One of a quota's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `tokens_per_second`.
    TokensPerSecond,
    /// `burst`: the call asks for more tokens at once than it allows.
    Burst,
    /// `upstream_per_second`.
    UpstreamPerSecond,
    /// `watches`.
    Watches,
}

impl From<Limit> for telemetry::Quota {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::TokensPerSecond => Self::Tokens,
            Limit::Burst => Self::Burst,
            Limit::UpstreamPerSecond => Self::Upstream,
            Limit::Watches => Self::Watches,
        }
    }
}

/// `CALLER_QUOTA_EXCEEDED`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota of grant {grant} is used up: {what} = {allowed}")]
pub struct QuotaExceeded {
    /// The grant whose quota it is.
    pub grant: Arc<str>,
    /// The limit that is exceeded.
    pub what: Limit,
    /// Its figure.
    pub allowed: u32,
    /// When to try again; `None` where waiting cannot help.
    pub retry_after: Option<Duration>,
}

impl Quota {
    /// A limit's figure.
    const fn figure(self, limit: Limit) -> u32 {
        let figure = match limit {
            Limit::TokensPerSecond => self.tokens_per_second,
            Limit::Burst if self.burst.is_none() => self.tokens_per_second,
            Limit::Burst => self.burst,
            Limit::UpstreamPerSecond => self.upstream_per_second,
            Limit::Watches => self.watches,
        };
        match figure {
            Some(figure) => figure,
            None => u32::MAX,
        }
    }
}

impl fmt::Display for Quota {
    /// As the policy file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            ("tokens_per_second", self.tokens_per_second),
            ("burst", self.burst),
            ("upstream_per_second", self.upstream_per_second),
            ("watches", self.watches),
        ];
        let set = limits.into_iter().filter_map(|(name, figure)| Some((name, figure?)));
        for (index, (name, figure)) in set.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} = {figure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Limit {
    /// The key in the policy file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokensPerSecond => "tokens_per_second",
            Self::Burst => "burst",
            Self::UpstreamPerSecond => "upstream_per_second",
            Self::Watches => "watches",
        })
    }
}

/// What the principals of a grant have used of its quota. It outlives a reload that leaves the name
/// and the quota of the grant as they were.
#[derive(Debug)]
pub(super) struct QuotaUsage {
    grant: Arc<str>,
    quota: Quota,
    tokens: Option<Rate>,
    upstream: Option<Rate>,
    usage: PerPrincipal<Usage>,
    /// The time of the first charge: later ones are counted from it.
    origin: OnceLock<Instant>,
}

/// What one principal has used.
#[derive(Debug, Default)]
struct Usage {
    tokens: TokenBucket,
    upstream: TokenBucket,
    watches: AtomicU32,
    /// Of tokens and of upstream calls, from the store.
    portions: [Portion; 2],
}

/// The limit that is exceeded, and when to try again.
type Excess = (Limit, Option<Duration>);

impl QuotaUsage {
    pub(super) fn new(grant: Arc<str>, quota: Quota) -> Self {
        let tokens = quota.tokens_per_second.map(|rate| Rate::new(rate, quota.burst.unwrap_or(rate)));
        let upstream = quota.upstream_per_second.map(|rate| Rate::new(rate, rate));
        let usage = PerPrincipal::default();
        Self { grant, quota, tokens, upstream, usage, origin: OnceLock::new() }
    }

    pub(super) const fn quota(&self) -> Quota {
        self.quota
    }

    /// Counts a call, all of it or nothing.
    pub(super) fn charge(
        &self,
        principal: &str,
        cost: Cost,
        now: Instant,
    ) -> Result<WatchSlot, QuotaExceeded> {
        let now = now.saturating_duration_since(*self.origin.get_or_init(|| now));
        let is_idle = |usage: &Usage| usage.is_idle(now);
        let charged = self.usage.with(principal, is_idle, |usage| self.take(usage, cost, now));
        charged.map_err(|(what, retry_after)| self.exceeded(what, retry_after))
    }

    /// Takes what was just charged from what replicas share too.
    pub(super) async fn take_shared(
        &self,
        principal: &str,
        cost: Cost,
        shared: &SharedQuotas,
    ) -> Result<(), QuotaExceeded> {
        let usage = self.usage.with(principal, |_| false, Arc::clone);
        let Quota { tokens_per_second, burst, upstream_per_second, .. } = self.quota;
        let limits = [
            (Limit::TokensPerSecond, "tokens", cost.tokens, tokens_per_second, burst.or(tokens_per_second)),
            (Limit::UpstreamPerSecond, "upstream", cost.upstream, upstream_per_second, upstream_per_second),
        ];
        for ((what, limit, count, per_second, burst), portion) in limits.into_iter().zip(&usage.portions) {
            let Some((per_second, burst)) = per_second.zip(burst).filter(|_| count > 0) else { continue };
            let bucket = Bucket { grant: &self.grant, principal, limit, fill: Fill { per_second, burst } };
            let taken = portion.take(bucket, count, shared).await;
            taken.map_err(|wait| self.exceeded(what, Some(wait)))?;
        }
        Ok(())
    }

    fn exceeded(&self, what: Limit, retry_after: Option<Duration>) -> QuotaExceeded {
        QuotaExceeded { grant: self.grant.clone(), what, allowed: self.quota.figure(what), retry_after }
    }

    /// Gives back tokens that a principal was just charged for.
    pub(super) fn refund(&self, principal: &str, tokens: u32) {
        self.usage.find(principal, |usage| self.refund_tokens(usage, tokens));
    }

    fn take(&self, usage: &Arc<Usage>, cost: Cost, now: Duration) -> Result<WatchSlot, Excess> {
        // Taken first, because it gives itself back.
        let slot = self.take_slot(usage, cost)?;
        if let Some(rate) = self.tokens {
            usage.tokens.take(cost.tokens, rate, now).map_err(|exhausted| match exhausted {
                Exhausted::RetryAfter(time) => (Limit::TokensPerSecond, Some(time)),
                Exhausted::AboveBurst => (Limit::Burst, None),
            })?;
        }
        if let Some(rate) = self.upstream
            && let Err(exhausted) = usage.upstream.take(cost.upstream, rate, now)
        {
            self.refund_tokens(usage, cost.tokens);
            let time = if let Exhausted::RetryAfter(time) = exhausted { Some(time) } else { None };
            return Err((Limit::UpstreamPerSecond, time));
        }
        Ok(slot)
    }

    fn take_slot(&self, usage: &Arc<Usage>, cost: Cost) -> Result<WatchSlot, Excess> {
        let Some(most) = self.quota.watches.filter(|_| cost.watch) else { return Ok(WatchSlot::UNLIMITED) };
        let one_more = |watches: u32| (watches < most).then_some(watches + 1);
        let taken = usage.watches.try_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.map(|_| WatchSlot(Some(usage.clone()))).map_err(|_| (Limit::Watches, Some(WATCH_RETRY)))
    }

    fn refund_tokens(&self, usage: &Usage, tokens: u32) {
        if let Some(rate) = self.tokens {
            usage.tokens.refund(tokens, rate);
        }
    }
}

impl Usage {
    /// Whether it is equal to a new one.
    fn is_idle(&self, now: Duration) -> bool {
        self.watches.load(Ordering::Relaxed) == 0 && self.tokens.is_full(now) && self.upstream.is_full(now)
    }
}

/// One of a principal's watches: it counts until this is dropped.
#[must_use = "the watch counts only as long as this lives"]
#[derive(Debug)]
pub struct WatchSlot(Option<Arc<Usage>>);

impl WatchSlot {
    /// The slot of a call that does not watch, or whose watches have no limit.
    pub(super) const UNLIMITED: Self = Self(None);
}

impl Drop for WatchSlot {
    fn drop(&mut self) {
        if let Some(usage) = &self.0 {
            usage.watches.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
