//! What may be minted, and for how long.
//!
//! Lifetimes fail closed: what is above the maximum is refused, never shortened, and a permanent
//! token needs the policy's consent.

use std::time::Duration;

use crate::token::{Kind, Lifetime};

/// Default and maximum lifetime of a kind of token.
#[derive(Clone, Copy, Debug)]
struct Limits {
    default: Lifetime,
    maximum: Duration,
}

const MILLENNIUM: Duration = Duration::from_hours(1000 * 365 * 24);
const HOUR: Duration = Duration::from_hours(1);
const SDK: Limits = Limits { default: lasting(Duration::from_mins(5)), maximum: HOUR };
const BOUND: Limits = Limits { default: lasting(HOUR), maximum: Duration::from_hours(24) };

/// Only for constants: a lifetime that cannot be written fails the build.
const fn lasting(ttl: Duration) -> Lifetime {
    match Lifetime::ttl(ttl) {
        Ok(lifetime) => lifetime,
        Err(_) => panic!("a whole number of milliseconds"),
    }
}

/// What everyone may mint: SDK tokens of 5 minutes (at most 1 hour), Room and Task tokens of 1 hour
/// (at most 24 hours).
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    permanent: bool,
    offline: bool,
}

/// Why the policy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No permanent tokens.
    PermanentTokenForbidden,
    /// The lifetime is above this maximum.
    TtlAboveMaximum(Duration),
}

impl Policy {
    /// Where no policy is set: no permanent tokens.
    pub const DEFAULT: Self = Self { permanent: false, offline: false };

    /// `inkpass dev`: permanent tokens too.
    pub const PERMISSIVE: Self = Self { permanent: true, offline: false };

    /// The offline commands, whose caller holds the key: any lifetime up to a thousand years.
    pub const OFFLINE: Self = Self { permanent: true, offline: true };

    /// The lifetime of a token of this kind: the one asked for, or the default.
    ///
    /// # Errors
    /// [`Refusal`] if it may not live that long.
    pub fn lifetime(&self, kind: Kind, asked: Option<Lifetime>) -> Result<Lifetime, Refusal> {
        let limits = if kind == Kind::Sdk { SDK } else { BOUND };
        let maximum = if self.offline { MILLENNIUM } else { limits.maximum };
        match asked {
            Some(Lifetime::Permanent) if self.permanent => Ok(Lifetime::Permanent),
            Some(Lifetime::Permanent) => Err(Refusal::PermanentTokenForbidden),
            Some(asked) if asked.as_duration() > Some(maximum) => Err(Refusal::TtlAboveMaximum(maximum)),
            Some(asked) => Ok(asked),
            None => Ok(limits.default),
        }
    }
}
