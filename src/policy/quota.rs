//! How much a principal may do: tokens a second, upstream calls a second, watches at once.
//!
//! A quota belongs to a grant, and each principal has it for itself. It holds in this replica alone:
//! N replicas let through up to N times as much. Time is a parameter. Looking a principal up takes
//! no lock; only its first call does.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{grant::Grant, meter::WatchPlace};
use crate::methods::Cost;

/// A grant's `quota`. What is `None` has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Tokens minted a second, in the long run.
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
    /// `burst`: the call asks for more tokens than can ever be had at once.
    Burst,
    /// `upstream_per_second`.
    UpstreamPerSecond,
    /// `watches`.
    Watches,
}

/// `CALLER_QUOTA_EXCEEDED`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota of grant {grant} is used up: {what} = {allowed}")]
pub struct QuotaExceeded {
    /// The grant whose quota it is.
    pub grant: Arc<str>,
    /// The limit that is in the way.
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

impl Grant {
    /// Counts a call against this grant's quota, all of it or nothing. The place is to be kept for
    /// as long as the call watches.
    ///
    /// # Errors
    /// [`QuotaExceeded`], and then nothing is counted.
    pub fn charge(&self, principal: &str, cost: Cost, now: Instant) -> Result<WatchPlace, QuotaExceeded> {
        let Some(meter) = &self.meter else { return Ok(WatchPlace::UNCOUNTED) };
        meter.charge(principal, cost, now).map_err(|(what, retry_after)| QuotaExceeded {
            grant: self.name.clone(),
            what,
            allowed: meter.quota().figure(what),
            retry_after,
        })
    }
}

/// Counts a batch: for each token the grant that allowed it, in any order. All of it or nothing.
///
/// # Errors
/// [`QuotaExceeded`], of the first grant in file order whose quota is too small.
pub fn charge_batch(principal: &str, grants: &[&Grant], now: Instant) -> Result<(), QuotaExceeded> {
    let mut grants = grants.to_vec();
    grants.sort_unstable_by_key(|grant| grant.line);
    let mut charged: Vec<(&Grant, u32)> = Vec::new();
    for same in grants.chunk_by(|a, b| std::ptr::eq(*a, *b)) {
        let tokens = u32::try_from(same.len()).unwrap_or(u32::MAX);
        let cost = Cost { tokens, ..Cost::default() };
        if let Err(exceeded) = same[0].charge(principal, cost, now) {
            for (grant, tokens) in charged {
                if let Some(meter) = &grant.meter {
                    meter.put_back_for(principal, tokens);
                }
            }
            return Err(exceeded);
        }
        charged.push((same[0], tokens));
    }
    Ok(())
}
