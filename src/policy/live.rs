//! The rules that hold now, and the way to others: a file that is wrong replaces nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::{ArcSwap, Guard};
use tonic::async_trait;

use super::{file::KnownProjects, rules::Rules};
use crate::{
    document::Mistake,
    reload::{Reload, on_a_thread},
};

/// Rules that can be replaced while they are used. Reading them takes no lock.
#[derive(Debug)]
pub struct LiveRules(ArcSwap<Rules>);

impl LiveRules {
    /// These, to begin with.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self(ArcSwap::from_pointee(rules))
    }

    /// The rules of this moment. A call decides by one reading of them; one that waits for
    /// something in between takes the [`Arc`] along.
    #[must_use]
    pub fn now(&self) -> Guard<Arc<Rules>> {
        self.0.load()
    }

    /// Reads the file again. Grants whose name and quota stay as they were go on with what their
    /// principals have used. Reload from one task only: of two at once the last one wins.
    ///
    /// # Errors
    /// Every mistake; the rules stay as they are.
    pub fn reload(&self, path: &Path, projects: Option<&KnownProjects>) -> Result<(), Vec<Mistake>> {
        let before = self.0.load_full();
        let rules = Rules::load(path, projects, Some(&before))?;
        self.0.store(Arc::new(rules));
        Ok(())
    }
}

/// The file that live rules are read from again when it changes.
pub struct PolicyFile {
    /// What it is read into.
    pub rules: Arc<LiveRules>,
    /// The file.
    pub path: PathBuf,
    /// What it may speak of.
    pub projects: KnownProjects,
}

#[async_trait]
impl Reload for PolicyFile {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let (rules, path, projects) = (self.rules.clone(), self.path.clone(), self.projects.clone());
        on_a_thread(move || rules.reload(&path, Some(&projects))).await
    }
}
