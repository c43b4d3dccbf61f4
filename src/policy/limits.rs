//! The lifetimes of tokens where a grant states none.

use std::time::Duration;

use crate::token::{Kind, Lifetime};

/// Default and maximum lifetime of a kind of token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) default: Lifetime,
    pub(super) maximum: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
const SDK: Limits = Limits { default: lasting(Duration::from_mins(5)), maximum: HOUR };
const BOUND: Limits = Limits { default: lasting(HOUR), maximum: Duration::from_hours(24) };

/// The maximum of the offline commands, whose caller holds the key.
pub(super) const MILLENNIUM: Duration = Duration::from_hours(1000 * 365 * 24);

impl Limits {
    /// SDK tokens: 5 minutes, at most 1 hour. Room and Task tokens: 1 hour, at most 24 hours.
    pub(super) const fn usual(kind: Kind) -> Self {
        match kind {
            Kind::Sdk => SDK,
            Kind::Room | Kind::Task => BOUND,
        }
    }
}

/// Only for constants: an invalid lifetime fails the build.
const fn lasting(ttl: Duration) -> Lifetime {
    match Lifetime::ttl(ttl) {
        Ok(lifetime) => lifetime,
        Err(_) => panic!("a whole number of milliseconds"),
    }
}
