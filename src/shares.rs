//! Fair shares: one rule for everything that is bounded.
//!
//! A principal gets more while it holds less than is free. So one alone can have half of it all, n greedy ones have
//! 1 / (n + 1) each, and a newcomer always finds some. Callers that nobody has identified are one principal
//! together, with an eighth at most. Taking waits for nobody, and takes no lock but at a principal's first time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::{per_principal::PerPrincipal, principal::Principal};

/// Those that nobody has identified have one share of so many.
const UNIDENTIFIED: usize = 8;

/// Something bounded, such as places or bytes, that is shared out.
#[derive(Debug)]
pub struct Shares {
    what: &'static str,
    capacity: usize,
    taken: AtomicUsize,
    held: PerPrincipal<AtomicUsize>,
    /// How often nothing was taken, because all of it was, and because of the holder's share.
    refused: [AtomicU64; 2],
}

/// Who takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A principal, by its name.
    Principal(&'a str),
    /// Someone who has shown no credential, where one is asked for.
    Unidentified,
}

impl<'a> Holder<'a> {
    /// `None`: nobody was identified.
    #[must_use]
    pub fn of(principal: Option<&'a Principal>) -> Self {
        principal.map_or(Self::Unidentified, |principal| Self::Principal(principal.as_str()))
    }
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The holder has its share of this already: `CALLER_QUOTA_EXCEEDED`.
    #[error("this caller has its share of {what} already")]
    OwnShare {
        /// What it is a share of.
        what: &'static str,
    },
    /// There is none left for anybody: `OVERLOADED`.
    #[error("all of {what} is taken")]
    AllTaken {
        /// What there is none left of.
        what: &'static str,
    },
}

/// What was taken: given back when this is dropped.
#[must_use = "it is given back as soon as this is dropped"]
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    held: Arc<AtomicUsize>,
    amount: usize,
}

impl Shares {
    /// `what`: its name, for those that are refused.
    #[must_use]
    pub fn new(what: &'static str, capacity: usize) -> Arc<Self> {
        let (taken, held) = (AtomicUsize::new(0), PerPrincipal::default());
        Arc::new(Self { what, capacity, taken, held, refused: Default::default() })
    }

    /// Takes so much, all of it or nothing.
    ///
    /// # Errors
    /// [`Refused`], at once.
    pub fn take(self: &Arc<Self>, holder: Holder<'_>, amount: usize) -> Result<Share, Refused> {
        let (name, most) = match holder {
            Holder::Principal(name) => (name, self.capacity),
            // No principal has an empty name.
            Holder::Unidentified => ("", self.capacity / UNIDENTIFIED),
        };
        let is_idle = |held: &AtomicUsize| held.load(Relaxed) == 0;
        let held = self.held.with(name, is_idle, |held| {
            let one_more = |held: usize| {
                let free = self.capacity.saturating_sub(self.taken.load(Relaxed));
                let wanted = held.checked_add(amount)?;
                (wanted <= free.min(most)).then_some(wanted)
            };
            held.try_update(Relaxed, Relaxed, one_more).ok().map(|_| held.clone())
        });
        let Some(held) = held else { return Err(self.refusal(amount)) };
        // Others may have taken the rest since it was looked at.
        let share = Share { shares: self.clone(), held, amount };
        if self.taken.fetch_add(amount, Relaxed) + amount > self.capacity {
            return Err(self.all_taken());
        }
        Ok(share)
    }

    fn refusal(&self, amount: usize) -> Refused {
        let wanted = self.taken.load(Relaxed).checked_add(amount);
        let is_left = wanted.is_some_and(|wanted| wanted <= self.capacity);
        if is_left { self.own() } else { self.all_taken() }
    }

    /// Refuses one who has its share of this.
    #[must_use]
    pub fn own(&self) -> Refused {
        self.refused[1].fetch_add(1, Relaxed);
        Refused::OwnShare { what: self.what }
    }

    fn all_taken(&self) -> Refused {
        self.refused[0].fetch_add(1, Relaxed);
        Refused::AllTaken { what: self.what }
    }

    /// Its name.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// How much of it there is.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How much of it is taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// How often nothing was taken: because all of it was, and because the holder had its share.
    #[must_use]
    pub fn refusals(&self) -> [u64; 2] {
        self.refused.each_ref().map(|count| count.load(Relaxed))
    }
}

impl Share {
    /// Holds another amount from now on: less gives back, and more is taken even where there is no more.
    pub fn resize(&mut self, amount: usize) {
        for taken in [&*self.held, &self.shares.taken] {
            taken.fetch_add(amount, Relaxed);
            taken.fetch_sub(self.amount, Relaxed);
        }
        self.amount = amount;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.amount, Relaxed);
        self.shares.taken.fetch_sub(self.amount, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 256;

    /// Takes as much as it gets, one at a time.
    fn grab(shares: &Arc<Shares>, name: &str) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(Holder::Principal(name), 1).ok()).collect()
    }

    #[test]
    fn one_has_half_and_greedy_ones_have_a_part_each_and_a_newcomer_finds_some() {
        let shares = Shares::new("places", CAPACITY);
        let first = grab(&shares, "a");
        assert_eq!(first.len(), CAPACITY / 2);
        assert_eq!(shares.take(Holder::Principal("a"), 1).unwrap_err(), Refused::OwnShare { what: "places" });
        drop(first);

        let mut held: [Vec<Share>; 3] = Default::default();
        for _ in 0..CAPACITY {
            for (name, held) in ["a", "b", "c"].iter().zip(&mut held) {
                held.extend(shares.take(Holder::Principal(name), 1));
            }
        }
        for held in &held {
            assert!(held.len().abs_diff(CAPACITY / 4) <= 1, "{}", held.len());
        }
        assert!(!grab(&shares, "newcomer").is_empty());
    }

    #[test]
    fn the_unidentified_have_an_eighth_together() {
        let shares = Shares::new("places", CAPACITY);
        let taken: Vec<_> = std::iter::from_fn(|| shares.take(Holder::Unidentified, 1).ok()).collect();
        assert_eq!(taken.len(), CAPACITY / 8);
    }

    #[test]
    fn what_does_not_fit_takes_nothing_and_what_is_dropped_is_free_again() {
        let shares = Shares::new("bytes", CAPACITY);
        for amount in [CAPACITY + 1, usize::MAX] {
            let refused = shares.take(Holder::Principal("a"), amount).unwrap_err();
            assert_eq!(refused, Refused::AllTaken { what: "bytes" });
        }
        let half = shares.take(Holder::Principal("a"), CAPACITY / 2).unwrap();
        let rest = shares.take(Holder::Principal("b"), CAPACITY / 2).unwrap();
        assert_eq!(shares.take(Holder::Principal("c"), 1).unwrap_err(), Refused::AllTaken { what: "bytes" });
        drop((half, rest));
        let mut share = shares.take(Holder::Principal("a"), CAPACITY / 2).unwrap();
        share.resize(1);
        assert_eq!(shares.taken.load(Relaxed), 1);
        drop(share);
        assert_eq!(grab(&shares, "c").len(), CAPACITY / 2);
    }

    #[test]
    fn never_more_is_taken_than_there_is() {
        let shares = Shares::new("places", 64);
        std::thread::scope(|scope| {
            for name in 0..8 {
                let shares = &shares;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let taken = grab(shares, &name.to_string());
                        assert!(taken.len() <= 32, "{}", taken.len());
                    }
                });
            }
        });
        assert_eq!(shares.taken.load(Relaxed), 0);
        assert_eq!(grab(&shares, "0").len(), 32);
    }
}
