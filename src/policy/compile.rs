//! Makes the table of the grants: every cell that a request can ask for, worked out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    grant::Grant,
    principal::Pattern,
    table::{Cell, Projects, Stairs, Table, Want},
};
use crate::{
    methods::{Action, Rpc},
    token::{Kind, Role},
};

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
        if !grant.may_mint_by(rpc) || !matches!(rpc.row().action, Action::Mints | Action::Creates(_)) {
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

impl Stairs {
    /// After the ones before it in file order.
    fn add(&mut self, grant: u32, maximum: Duration, permanent: bool) {
        if self.steps.last().is_none_or(|(longest, _)| *longest < maximum) {
            self.steps.push((maximum, grant));
        }
        self.permanent = self.permanent.or(permanent.then_some(grant));
    }
}
