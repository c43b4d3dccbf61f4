//! The grants, compiled so that a decision costs the same however many there are.
//!
//! A principal leads to the projects of its own grants and of each prefix that a wildcard has, at
//! most [`MOST_SLASHES`] of them. A project there leads to a row: the grants that a principal has
//! for it. Of a row every cell, a call with its region, kind and role, is worked out beforehand: the
//! grants that allow it in file order, without those that another one before them makes superfluous.
//! What is left to ask is the lifetime. A decision allocates nothing and takes no lock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    grant::{Ask, Denial, Grant, Mint, Missing},
    principal::{MOST_SLASHES, Pattern, prefixes},
    rpcs::{Mints, Rpc},
};
use crate::{
    region::Region,
    token::{Kind, Lifetime, Role},
};

/// All grants.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) grants: Vec<Arc<Grant>>,
    exact: HashMap<Arc<str>, Projects>,
    under: HashMap<Arc<str>, Projects>,
    /// How many slashes the prefixes in `under` have: one bit for each number.
    depths: u32,
    cells: HashMap<Cell, u32>,
    stairs: Vec<Stairs>,
}

/// What the grants of one pattern allow.
#[derive(Debug, Default)]
struct Projects {
    rows: HashMap<Arc<str>, u32>,
    verifies: bool,
}

/// A question that a row has an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cell {
    row: u32,
    rpc: Rpc,
    /// Without one: whatever the region, which says how far a denied request got.
    region: Option<Region>,
    want: Want,
}

/// How much of a token a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Want {
    Nothing,
    AnyToken,
    OfKind(Kind),
    OfRole(Kind, Role),
}

/// The grants of one cell, by the lifetime that they allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Stairs {
    /// In file order, each with a longer maximum than those before it.
    steps: Vec<(Duration, u32)>,
    /// The first that allows permanent tokens.
    permanent: Option<u32>,
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
        let is_whole = region.is_some() == ask.rpc.goes_upstream()
            && (want != Want::Nothing || ask.rpc.row().1 != Mints::Always);
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
            Want::Nothing if cell.rpc.row().1 == Mints::Always => Missing::Kind,
            _ => return Denial::RegionForbidden,
        };
        Denial::PolicyDenied(missing)
    }

    fn stairs(&self, cell: Cell) -> Option<&Stairs> {
        self.cells.get(&cell).map(|stairs| &self.stairs[*stairs as usize])
    }
}

impl Stairs {
    /// After the ones before it in file order.
    fn add(&mut self, grant: u32, maximum: Duration, permanent: bool) {
        if self.steps.last().is_none_or(|(longest, _)| *longest < maximum) {
            self.steps.push((maximum, grant));
        }
        self.permanent = self.permanent.or(permanent.then_some(grant));
    }

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

impl Table {
    /// In file order.
    pub(super) fn new(grants: Vec<Grant>) -> Self {
        let mut table = Self { grants: grants.into_iter().map(Arc::new).collect(), ..Self::default() };
        let mut interned = Interned::default();
        for (pattern, projects) in by_pattern(&table.grants) {
            let compiled = interned.projects(&mut table, projects);
            match pattern {
                Pattern::Exact(principal) => table.exact.insert(principal, compiled),
                Pattern::Under(prefix) => {
                    table.depths |= 1 << prefix.matches('/').count();
                    table.under.insert(prefix, compiled)
                }
            };
        }
        table.cells.shrink_to_fit();
        table
    }
}

/// Of each project those grants of a pattern that are for it, in file order.
type ByProject = BTreeMap<Arc<str>, Vec<u32>>;

fn by_pattern(grants: &[Arc<Grant>]) -> HashMap<Pattern, ByProject> {
    let mut patterns: HashMap<Pattern, ByProject> = HashMap::new();
    for (index, grant) in (0..).zip(grants) {
        for pattern in &grant.principals {
            let projects = patterns.entry(pattern.clone()).or_default();
            for project in &grant.projects {
                projects.entry(project.clone()).or_default().push(index);
            }
        }
    }
    patterns
}

/// Keeps one of whatever is alike: the rows of the same grants, and stairs of the same steps.
#[derive(Default)]
struct Interned {
    rows: HashMap<Vec<u32>, u32>,
    stairs: HashMap<Stairs, u32>,
}

impl Interned {
    fn projects(&mut self, table: &mut Table, projects: ByProject) -> Projects {
        let mut compiled = Projects::default();
        for (project, grants) in projects {
            compiled.verifies |=
                grants.iter().any(|grant| table.grants[*grant as usize].rpcs.contains(Rpc::VerifyToken));
            compiled.rows.insert(project, self.row(table, grants));
        }
        compiled
    }

    fn row(&mut self, table: &mut Table, grants: Vec<u32>) -> u32 {
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let row = *self.rows.entry(grants.clone()).or_insert(next);
        if row == next {
            let mut cells: HashMap<Cell, Stairs> = HashMap::new();
            for index in grants {
                for_each_cell(row, &table.grants[index as usize], |cell, maximum, permanent| {
                    cells.entry(cell).or_default().add(index, maximum, permanent);
                });
            }
            for (cell, stairs) in cells {
                let next = u32::try_from(table.stairs.len()).unwrap_or(u32::MAX);
                let known = *self.stairs.entry(stairs).or_insert_with_key(|stairs| {
                    table.stairs.push(stairs.clone());
                    next
                });
                table.cells.insert(cell, known);
            }
        }
        row
    }
}

/// Every cell that a grant has a say in.
fn for_each_cell(row: u32, grant: &Grant, mut add: impl FnMut(Cell, Duration, bool)) {
    for rpc in grant.rpcs.iter() {
        let regions = grant.regions.iter().copied().map(Some).filter(|_| rpc.goes_upstream());
        let regions: Vec<_> = regions.chain([None]).collect();
        let mut add = |want, maximum, permanent| {
            for region in &regions {
                add(Cell { row, rpc, region: *region, want }, maximum, permanent);
            }
        };
        add(Want::Nothing, Duration::ZERO, false);
        if !grant.may_mint_by(rpc) || rpc.row().1 == Mints::Never {
            continue;
        }
        add(Want::AnyToken, Duration::ZERO, false);
        for kind in Kind::ALL.into_iter().filter(|kind| rpc.can_mint(*kind)) {
            let Some(rule) = grant.token(kind) else { continue };
            add(Want::OfKind(kind), Duration::ZERO, false);
            for role in Role::ALL.into_iter().filter(|role| *role >= rule.strongest) {
                add(Want::OfRole(kind, role), rule.maximum, rule.permanent);
            }
        }
    }
}
