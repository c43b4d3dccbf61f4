//! Finds the grants of a caller, however many there are for others.
//!
//! One map has the principals that a grant names in full, another one the prefixes of wildcards: a
//! caller has as many prefixes as its name has slashes, and only lengths that some wildcard has are
//! looked up. Finding allocates nothing and takes no lock.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::grant::Grant;
use crate::principal::{MAX_PREFIX_SLASHES, Pattern, Principal, prefixes};

/// The grants of a file by principal and project.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Principal, ByProject, BuildHasherDefault<NameHasher>>,
    prefixes: HashMap<Arc<str>, ByProject, BuildHasherDefault<NameHasher>>,
    /// How many slashes the prefixes have: one bit for each number.
    depths: u32,
}

/// Of each project the positions of its grants, in file order.
type ByProject = BTreeMap<Arc<str>, Vec<u32>>;

/// The positions of the grants that name a principal and a project: a list for the principal itself
/// and one for each of its prefixes, each in file order. A grant can be in several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    lists: [&'a [u32]; MAX_PREFIX_SLASHES + 1],
    count: usize,
}

impl Index {
    pub(super) fn new(grants: &[Arc<Grant>]) -> Self {
        let mut index = Self::default();
        for (position, grant) in (0..).zip(grants) {
            for pattern in &grant.principals {
                let by_project = index.entry(pattern);
                for project in &grant.projects {
                    by_project.entry(project.clone()).or_default().push(position);
                }
            }
        }
        index
    }

    fn entry(&mut self, pattern: &Pattern) -> &mut ByProject {
        match pattern {
            Pattern::Exact(principal) => self.exact.entry(principal.clone()).or_default(),
            Pattern::Prefix(prefix) => {
                self.depths |= 1 << prefix.matches('/').count();
                self.prefixes.entry(prefix.clone()).or_default()
            }
        }
    }

    /// `None` if no grant names both.
    pub(super) fn find(&self, principal: &str, project: &str) -> Option<Lists<'_>> {
        let mut found = Lists::EMPTY;
        for list in self.covering(principal).filter_map(|by_project| by_project.get(project)) {
            found.push(list);
        }
        (found.count > 0).then_some(found)
    }

    /// The grants that name a principal, whichever the project: in no order, and some of them twice.
    pub(super) fn of(&self, principal: &str) -> impl Iterator<Item = u32> {
        self.covering(principal).flat_map(BTreeMap::values).flatten().copied()
    }

    /// What is kept of every pattern that covers a principal.
    fn covering(&self, principal: &str) -> impl Iterator<Item = &ByProject> {
        let is_used = |slashes: usize| self.depths >> slashes & 1 == 1;
        let prefixes = prefixes(principal).filter(move |(slashes, _)| is_used(*slashes));
        let by_prefix = prefixes.filter_map(|(_, prefix)| self.prefixes.get(prefix));
        self.exact.get(principal).into_iter().chain(by_prefix)
    }
}

impl<'a> Lists<'a> {
    const EMPTY: Self = Self { lists: [&[]; MAX_PREFIX_SLASHES + 1], count: 0 };

    /// The first grant of all, where it is for everyone and every project.
    pub(super) const FIRST_GRANT: Self = {
        let mut first = Self::EMPTY;
        first.push(&[0]);
        first
    };

    const fn push(&mut self, list: &'a [u32]) {
        self.lists[self.count] = list;
        self.count += 1;
    }

    pub(super) fn as_slice(&self) -> &[&'a [u32]] {
        &self.lists[..self.count]
    }
}

/// Hashes names eight bytes at a time, as `rustc-hash` does: faster than the standard library's. It
/// resists no chosen keys, and need not: the keys are the policy file's, and callers only look up.
#[derive(Default)]
struct NameHasher(u64);

impl NameHasher {
    const fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        self.add(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }

    /// What ends a string.
    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    /// The high bits depend on all of the name; a map uses the low ones too.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
