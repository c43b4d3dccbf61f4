//! What may be minted where there is no policy file, and for how long.
//!
//! Lifetimes fail closed: what is above the maximum is refused, never shortened, and a permanent
//! token needs the policy's consent.

use std::time::Duration;

use super::limits::{Limits, MILLENNIUM};
use crate::token::{Kind, Lifetime};

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
        let limits = Limits::usual(kind);
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
