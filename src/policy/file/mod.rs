//! The policy file: read to its end, every mistake with its line and column.
//!
//! Default deny: what no grant allows is refused. So whatever in a file could mean less or more than
//! it seems to, such as an unknown key, is a mistake, and a file with one is no policy at all.

mod document;
mod examples;
mod grants;
mod parts;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

pub use self::{
    document::Mistake,
    examples::{Example, mint_of, region_fits},
};
use self::{
    document::{Document, Fields, Node},
    examples::read_example,
    grants::GrantReader,
};
use super::{grant::Grant, rules::Rules};
use crate::file::OpenFile;

/// The longest policy file, in bytes: four times what a `ConfigMap` holds.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The projects that there are, where that is known: a grant for any other is a mistake.
#[derive(Clone, Debug, Default)]
pub struct KnownProjects {
    /// Their names in the settings.
    pub names: BTreeSet<String>,
    /// The one that is meant where a request names none.
    pub default: Option<String>,
}

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
        let text = read(path).map_err(|what| vec![Mistake { line: 0, column: 0, what }])?;
        Self::parse(&text, projects, before)
    }

    /// The same, of a policy that was read already.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(
        text: &str,
        projects: Option<&KnownProjects>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<Mistake>> {
        let document = Document::new(text);
        let read = document.parse().map(|root| read_root(root, projects, before));
        let mistakes = document.into_mistakes();
        match read {
            Some((grants, examples)) if mistakes.is_empty() => Ok(Self::new(grants, examples)),
            _ => Err(mistakes),
        }
    }
}

impl Rules {
    /// The project that is meant where a question names none: the settings' default, or, where that
    /// is not known, the only one that any grant is for.
    #[must_use]
    pub fn default_project(&self, projects: Option<&KnownProjects>) -> Option<String> {
        default_project(projects, self.grants().iter().map(|grant| &**grant))
    }
}

fn default_project<'a>(
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

fn read(path: &Path) -> Result<String, String> {
    let content = OpenFile::open(path).and_then(|file| file.read(LONGEST));
    let content = content.map_err(|error| error.to_string())?;
    String::from_utf8(content.to_vec()).map_err(|_| "is not UTF-8".to_owned())
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
        root.wrong("there is no grant, so nobody could do anything; add [[grants]]");
    }
    let listed = listed.and_then(Node::list);
    let grants: Vec<_> = tables(listed).filter_map(|fields| reader.read(fields)).collect();
    let default = default_project(projects, grants.iter());
    let tests = root.take("tests").and_then(Node::list);
    let examples = tables(tests).filter_map(|fields| read_example(fields, default.as_deref())).collect();
    (grants, examples)
}

fn tables(list: Option<Vec<Node<'_>>>) -> impl Iterator<Item = Fields<'_>> {
    list.into_iter().flatten().filter_map(Node::fields)
}
