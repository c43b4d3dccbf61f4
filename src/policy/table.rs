//! The grants, compiled so that a decision costs the same however many there are.
//!
//! A principal leads to the projects of its own grants and of each prefix that a wildcard has, at
//! most [`MOST_SLASHES`] of them. A project there leads to a row: the grants that a principal has
//! for it. Of a row every cell, a call with its region, kind and role, is worked out beforehand: the
//! grants that allow it in file order, without those that another one before them makes superfluous.
//! What is left to ask is the lifetime. A decision allocates nothing and takes no lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    grant::{Ask, Denial, Grant, Mint, Missing},
    principal::{MOST_SLASHES, prefixes},
};
use crate::{
    methods::Rpc,
    region::Region,
    token::{Kind, Lifetime, Role},
};

/// All grants.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) grants: Vec<Arc<Grant>>,
    pub(super) exact: HashMap<Arc<str>, Projects>,
    pub(super) under: HashMap<Arc<str>, Projects>,
    /// How many slashes the prefixes in `under` have: one bit for each number.
    pub(super) depths: u32,
    pub(super) cells: HashMap<Cell, u32>,
    pub(super) stairs: Vec<Stairs>,
}

/// What the grants of one pattern allow.
#[derive(Debug, Default)]
pub(super) struct Projects {
    pub(super) rows: HashMap<Arc<str>, u32>,
    pub(super) verifies: bool,
}

/// A question that a row has an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub(super) row: u32,
    pub(super) rpc: Rpc,
    /// Without one: whatever the region, which says how far a denied request got.
    pub(super) region: Option<Region>,
    pub(super) want: Want,
}

/// How much of a token a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Want {
    Nothing,
    AnyToken,
    OfKind(Kind),
    OfRole(Kind, Role),
}

/// The grants of one cell, by the lifetime that they allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Stairs {
    /// In file order, each with a longer maximum than those before it.
    pub(super) steps: Vec<(Duration, u32)>,
    /// The first that allows permanent tokens.
    pub(super) permanent: Option<u32>,
}

/// The rows of one principal for one project, and the table they are in.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    table: &'a Table,
    found: [u32; MOST_SLASHES + 1],
    count: usize,
}

impl Table {
    /// The projects of every pattern that covers a principal.
    fn covering<'a>(&'a self, principal: &'a str) -> impl Iterator<Item = &'a Projects> {
        let known = |slashes: usize| self.depths >> slashes & 1 == 1;
        let under = prefixes(principal).filter(move |(slashes, _)| known(*slashes));
        self.exact.get(principal).into_iter().chain(under.filter_map(|(_, prefix)| self.under.get(prefix)))
    }

    /// `None` if no grant names both.
    pub(super) fn rows<'a>(&'a self, principal: &'a str, project: &str) -> Option<Rows<'a>> {
        let mut rows = Rows { table: self, found: [0; MOST_SLASHES + 1], count: 0 };
        for row in self.covering(principal).filter_map(|projects| projects.rows.get(project)) {
            rows.found[rows.count] = *row;
            rows.count += 1;
        }
        (rows.count > 0).then_some(rows)
    }

    /// Whether a principal may verify the tokens of any project.
    pub(super) fn verifies(&self, principal: &str) -> bool {
        self.covering(principal).any(|projects| projects.verifies)
    }
}

impl<'a> Rows<'a> {
    /// The first grant in file order that allows the whole request, and the token's lifetime; or
    /// how far the request got.
    pub(super) fn decide(&self, ask: &Ask<'_>) -> Result<(&'a Arc<Grant>, Option<Lifetime>), Denial> {
        let mut decided = Err(Denial::ProjectUnknown);
        for row in &self.found[..self.count] {
            decided = match (decided, self.table.judge(*row, ask)) {
                (Ok(first), Ok(second)) => Ok(u32::min(first, second)),
                (Err(first), Err(second)) => Err(Denial::max(first, second)),
                (allowed, Err(_)) | (Err(_), allowed) => allowed,
            };
        }
        let grant = &self.table.grants[decided? as usize];
        let lifetime = ask.mint.and_then(|Mint { kind, lifetime, .. }| {
            lifetime.or_else(|| grant.token(kind).map(|rule| rule.default))
        });
        Ok((grant, lifetime))
    }
}

impl Table {
    fn judge(&self, row: u32, ask: &Ask<'_>) -> Result<u32, Denial> {
        let want = ask.mint.map_or(Want::Nothing, |mint| Want::OfRole(mint.kind, mint.role));
        let region = ask.region.filter(|_| ask.rpc.goes_upstream());
        let is_whole =
            region.is_some() == ask.rpc.goes_upstream() && (want != Want::Nothing || !ask.rpc.mints());
        let cell = Cell { row, rpc: ask.rpc, region, want };
        match self.stairs(cell).filter(|_| is_whole) {
            Some(stairs) => stairs.find(ask.mint.and_then(|mint| mint.lifetime)),
            None => Err(self.how_far(cell)),
        }
    }

    /// The first thing that no grant of the row has.
    fn how_far(&self, cell: Cell) -> Denial {
        let has = |want| self.cells.contains_key(&Cell { region: None, want, ..cell });
        let missing = match cell.want {
            _ if !has(Want::Nothing) => Missing::Rpc,
            Want::OfRole(kind, _) if !cell.rpc.can_mint(kind) => Missing::Kind,
            Want::OfRole(..) if !has(Want::AnyToken) => Missing::IssueToken,
            Want::OfRole(kind, _) if !has(Want::OfKind(kind)) => Missing::Kind,
            Want::OfRole(kind, role) if !has(Want::OfRole(kind, role)) => Missing::Role,
            Want::Nothing if cell.rpc.mints() => Missing::Kind,
            _ => return Denial::RegionForbidden,
        };
        Denial::PolicyDenied(missing)
    }

    fn stairs(&self, cell: Cell) -> Option<&Stairs> {
        self.cells.get(&cell).map(|stairs| &self.stairs[*stairs as usize])
    }
}

impl Stairs {
    fn find(&self, asked: Option<Lifetime>) -> Result<u32, Denial> {
        let ttl = match asked {
            Some(Lifetime::Permanent) => return self.permanent.ok_or(Denial::PermanentTokenForbidden),
            Some(ttl) => ttl.as_duration().unwrap_or(Duration::MAX),
            None => Duration::ZERO,
        };
        let first = self.steps.partition_point(|(maximum, _)| *maximum < ttl);
        let longest = self.steps.last().map_or(Duration::ZERO, |(maximum, _)| *maximum);
        self.steps.get(first).map(|(_, grant)| *grant).ok_or(Denial::TtlAboveMaximum(longest))
    }
}
