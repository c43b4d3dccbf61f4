//! Charging the quota of the grants that allow a call.

use std::time::Instant;

use super::{
    grant::Grant,
    quota::{QuotaExceeded, WatchSlot},
};
use crate::methods::Cost;

impl Grant {
    /// Counts a call against this grant's quota, all of it or nothing. The slot is to be kept for as
    /// long as the call watches.
    ///
    /// # Errors
    /// [`QuotaExceeded`], and then nothing is counted.
    pub fn charge(&self, principal: &str, cost: Cost, now: Instant) -> Result<WatchSlot, QuotaExceeded> {
        match &self.meter {
            Some(meter) => meter.charge(principal, cost, now),
            None => Ok(WatchSlot::UNLIMITED),
        }
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
        if let Err(exceeded) = same[0].charge(principal, Cost { tokens, ..Cost::default() }, now) {
            for (grant, tokens) in charged {
                if let Some(meter) = &grant.meter {
                    meter.refund(principal, tokens);
                }
            }
            return Err(exceeded);
        }
        charged.push((same[0], tokens));
    }
    Ok(())
}
