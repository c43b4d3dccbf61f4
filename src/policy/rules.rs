//! The policy as a service holds it: a file's grants, or one for everyone. The grant that allows a call
//! is charged for it.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    example::Example,
    grant::{AccessRequest, Denial, Everyone, Grant, Mint, Requirements},
    index::{Index, Lists},
    quota::{QuotaExceeded, WatchSlot},
    shared::SharedQuotas,
};
use crate::{
    methods::{Cost, Rpc},
    region::Region,
    token::Lifetime,
};

/// Who may do what. It never changes: a new file makes a new one.
#[derive(Debug)]
pub struct Rules {
    /// In file order.
    grants: Vec<Arc<Grant>>,
    /// `None`: the first grant is for everyone and every project.
    index: Option<Index>,
    examples: Vec<Example>,
}

/// A request that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// The grant that allows it: the first in file order. Its quota is the one that counts.
    pub grant: &'a Arc<Grant>,
    /// How long the token lives; `None` where none is minted.
    pub lifetime: Option<Lifetime>,
}

/// The grants that name a principal and a project; what else they say is looked at next.
#[derive(Clone, Copy)]
pub struct Admitted<'a> {
    grants: &'a [Arc<Grant>],
    found: Lists<'a>,
}

/// The projects whose tokens a principal may verify.
#[derive(Clone, Copy)]
pub struct Verifiable<'a> {
    rules: &'a Rules,
    principal: &'a str,
}

impl Rules {
    /// Without a policy file: everyone may do everything, on every project.
    #[must_use]
    pub fn for_everyone(everyone: Everyone) -> Self {
        Self { grants: vec![Arc::new(Grant::for_everyone(everyone))], index: None, examples: Vec::new() }
    }

    pub(super) fn new(grants: Vec<Grant>, examples: Vec<Example>) -> Self {
        let grants: Vec<_> = grants.into_iter().map(Arc::new).collect();
        Self { index: Some(Index::new(&grants)), grants, examples }
    }

    /// The first of two steps: whether the principal has any grant for the project. Only then may
    /// anything of the project be looked at, such as its default region or a named key: an error must
    /// not tell a caller about a project that it has no grant for.
    ///
    /// # Errors
    /// [`Denial::ProjectUnknown`].
    pub fn admit(&self, principal: &str, project: &str) -> Result<Admitted<'_>, Denial> {
        let found = match &self.index {
            Some(index) => index.find(principal, project).ok_or(Denial::ProjectUnknown)?,
            None => Lists::FIRST_GRANT,
        };
        Ok(Admitted { grants: &self.grants, found })
    }

    /// Both steps at once, where nothing of the project is needed in between.
    ///
    /// # Errors
    /// [`Denial`]: the one that got furthest, of those of all grants that name the principal.
    pub fn decide(&self, principal: &str, request: &AccessRequest<'_>) -> Result<Allowed<'_>, Denial> {
        self.admit(principal, request.project)?.decide(request.rpc, request.region, request.mint)
    }

    /// The projects that `VerifyToken` means where a request names none.
    #[must_use]
    pub const fn may_verify<'a>(&'a self, principal: &'a str) -> Verifiable<'a> {
        Verifiable { rules: self, principal }
    }

    /// All grants, in file order.
    #[must_use]
    pub fn grants(&self) -> &[Arc<Grant>] {
        &self.grants
    }

    /// The examples in the file, `[[tests]]`.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// What each grant that names the principal says of the request by itself, in file order.
    pub fn explain<'a>(
        &'a self,
        principal: &str,
        request: &'a AccessRequest<'_>,
    ) -> impl Iterator<Item = (&'a Grant, Result<Option<Lifetime>, Denial>)> + use<'a> {
        let positions: BTreeSet<_> = self.index.iter().flat_map(|index| index.of(principal)).collect();
        let requirements = Requirements::new(request.rpc, request.region, request.mint);
        positions.into_iter().map(move |position| {
            let grant = &*self.grants[position as usize];
            let is_for_project = grant.projects.iter().any(|project| **project == *request.project);
            let judged =
                if is_for_project { grant.judge(&requirements) } else { Err(Denial::ProjectUnknown) };
            (grant, judged)
        })
    }
}

impl<'a> Admitted<'a> {
    /// The second step: asks the grants one after the other. `region` and `mint` are
    /// [`AccessRequest`]'s.
    ///
    /// # Errors
    /// [`Denial`]: the one that got furthest, of those of all grants that name the principal and the
    /// project.
    pub fn decide(
        &self,
        rpc: Rpc,
        region: Option<Region>,
        mint: Option<Mint>,
    ) -> Result<Allowed<'a>, Denial> {
        let requirements = Requirements::new(rpc, region, mint);
        let (mut first, mut furthest) = (None, Denial::ProjectUnknown);
        for list in self.found.as_slice() {
            let before = first.map_or(u32::MAX, |(position, _)| position);
            for position in list.iter().copied().take_while(|position| *position < before) {
                match self.grants[position as usize].judge(&requirements) {
                    Ok(lifetime) => {
                        first = Some((position, lifetime));
                        break;
                    }
                    Err(denial) => furthest = furthest.max(denial),
                }
            }
        }
        let (position, lifetime) = first.ok_or(furthest)?;
        Ok(Allowed { grant: &self.grants[position as usize], lifetime })
    }
}

impl Verifiable<'_> {
    /// Whether there is none, so that the call is to be refused with `POLICY_DENIED`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let verifies = |position: u32| self.rules.grants[position as usize].rpcs.contains(Rpc::VerifyToken);
        self.rules.index.as_ref().is_some_and(|index| !index.of(self.principal).any(verifies))
    }

    /// Whether a project is one of them.
    #[must_use]
    pub fn contains(&self, project: &str) -> bool {
        let request = AccessRequest { rpc: Rpc::VerifyToken, project, region: None, mint: None };
        self.rules.decide(self.principal, &request).is_ok()
    }
}

impl Grant {
    /// Counts a call against this grant's quota, all of it or nothing. The slot is to be kept for as
    /// long as the call watches.
    ///
    /// # Errors
    /// [`QuotaExceeded`], and then nothing is counted.
    pub fn charge(&self, principal: &str, cost: Cost, now: Instant) -> Result<WatchSlot, QuotaExceeded> {
        match &self.usage {
            Some(usage) => usage.charge(principal, cost, now),
            None => Ok(WatchSlot::UNLIMITED),
        }
    }

    /// The same against what replicas share of it. It may wait for the store, for a moment.
    ///
    /// # Errors
    /// [`QuotaExceeded`].
    pub async fn charge_shared(
        &self,
        principal: &str,
        cost: Cost,
        now: Instant,
        shared: &SharedQuotas,
    ) -> Result<WatchSlot, QuotaExceeded> {
        let slot = self.charge(principal, cost, now)?;
        self.take_shared(principal, cost, shared).await?;
        Ok(slot)
    }

    async fn take_shared(
        &self,
        principal: &str,
        cost: Cost,
        shared: &SharedQuotas,
    ) -> Result<(), QuotaExceeded> {
        let Some(usage) = &self.usage else { return Ok(()) };
        let taken = usage.take_shared(principal, cost, shared).await;
        taken.inspect_err(|_| usage.refund(principal, cost.tokens))
    }
}

/// [`charge_batch`] against what replicas share too.
///
/// # Errors
/// Those of [`charge_batch`]. What was taken from the store for other grants of the batch is not given back.
pub async fn charge_batch_shared(
    principal: &str,
    grants: &[&Grant],
    now: Instant,
    shared: &SharedQuotas,
) -> Result<(), QuotaExceeded> {
    charge_batch(principal, grants, now)?;
    for same in by_grant(grants).chunk_by(|a, b| std::ptr::eq(*a, *b)) {
        let cost = Cost { tokens: u32::try_from(same.len()).unwrap_or(u32::MAX), ..Cost::default() };
        same[0].take_shared(principal, cost, shared).await?;
    }
    Ok(())
}

fn by_grant<'a>(grants: &[&'a Grant]) -> Vec<&'a Grant> {
    let mut grants = grants.to_vec();
    grants.sort_unstable_by_key(|grant| grant.line);
    grants
}

/// Counts a batch: for each token the grant that allowed it, in any order. All of it or nothing.
///
/// # Errors
/// [`QuotaExceeded`], of the first grant in file order whose quota is too small.
pub fn charge_batch(principal: &str, grants: &[&Grant], now: Instant) -> Result<(), QuotaExceeded> {
    let mut charged: Vec<(&Grant, u32)> = Vec::new();
    for same in by_grant(grants).chunk_by(|a, b| std::ptr::eq(*a, *b)) {
        let tokens = u32::try_from(same.len()).unwrap_or(u32::MAX);
        if let Err(exceeded) = same[0].charge(principal, Cost { tokens, ..Cost::default() }, now) {
            for (grant, tokens) in charged {
                if let Some(usage) = &grant.usage {
                    usage.refund(principal, tokens);
                }
            }
            return Err(exceeded);
        }
        charged.push((same[0], tokens));
    }
    Ok(())
}
