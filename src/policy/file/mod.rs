//! The policy file: read to its end, every mistake with its line and column.
//!
//! Default deny: what no grant allows is refused. So anything in a file that could mean less or more
//! than it seems to, such as an unknown key, is a mistake, and a file with one is no policy at all.

mod examples;
mod grants;
mod tokens_and_quota;

use std::{collections::HashMap, path::Path, sync::Arc};

use zeroize::Zeroizing;

use self::{examples::read_example, grants::GrantReader};
pub use self::{
    examples::{mint_of, region_fits},
    tokens_and_quota::KnownProjects,
};
use super::{example::Example, grant::Grant, rules::Rules};
use crate::document::{Document, Fields, Mistake, Node};

/// The longest policy file, in bytes: four times what a `ConfigMap` holds.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What is said of a key that a policy does not have.
const UNKNOWN: &str = "is not a known key";

impl Rules {
    /// Reads a policy file.
    ///
    /// `before`: the rules that these are to replace. A grant of the same name and the same quota
    /// goes on with what its principals have used.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn load(
        path: &Path,
        projects: Option<&KnownProjects>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<Mistake>> {
        Self::read(Document::read(path, LONGEST, UNKNOWN)?, projects, before)
    }

    /// The same of a text.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(
        text: &str,
        projects: Option<&KnownProjects>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<Mistake>> {
        let document = Document::new("", Zeroizing::new(text.to_owned()), UNKNOWN);
        Self::read(document, projects, before)
    }

    fn read(
        document: Document,
        projects: Option<&KnownProjects>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<Mistake>> {
        let read = document.root().map(|root| read_root(root, projects, before));
        document.finish(read).map(|(grants, examples)| Self::new(grants, examples))
    }
}

impl Rules {
    /// The project that is meant where a question names none: the settings' default, or, where that
    /// is not known, the only one that any grant is for.
    #[must_use]
    pub fn implied_project(&self, projects: Option<&KnownProjects>) -> Option<String> {
        implied_project(projects, self.grants().iter().map(|grant| &**grant))
    }
}

fn implied_project<'a>(
    projects: Option<&KnownProjects>,
    grants: impl Iterator<Item = &'a Grant>,
) -> Option<String> {
    if let Some(default) = projects.and_then(|projects| projects.default.clone()) {
        return Some(default);
    }
    let mut named = grants.flat_map(|grant| &grant.projects);
    let only = named.next()?;
    named.all(|other| other == only).then(|| only.to_string())
}

fn read_root(
    mut root: Fields<'_>,
    projects: Option<&KnownProjects>,
    before: Option<&Rules>,
) -> (Vec<Grant>, Vec<Example>) {
    let before: HashMap<&str, &Arc<Grant>> =
        before.into_iter().flat_map(Rules::grants).map(|grant| (grant.name(), grant)).collect();
    let mut reader = GrantReader::new(projects, before);
    let listed = root.take("grants");
    if listed.is_none() {
        root.wrong("there is no grant, so everything would be denied; add [[grants]]");
    }
    let listed = listed.and_then(Node::list);
    let grants: Vec<_> = tables(listed).filter_map(|fields| reader.read(fields)).collect();
    let default = implied_project(projects, grants.iter());
    let tests = root.take("tests").and_then(Node::list);
    let examples = tables(tests).filter_map(|fields| read_example(fields, default.as_deref())).collect();
    (grants, examples)
}

fn tables(list: Option<Vec<Node<'_>>>) -> impl Iterator<Item = Fields<'_>> {
    list.into_iter().flatten().filter_map(Node::fields)
}
