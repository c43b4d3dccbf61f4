//! The current rules, and their reload: a file with a mistake replaces nothing.

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

/// Rules that can be replaced while they are in use. Reading them takes no lock.
#[derive(Debug)]
pub struct LiveRules(ArcSwap<Rules>);

impl LiveRules {
    /// Starts with these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self(ArcSwap::from_pointee(rules))
    }

    /// The current rules. A call reads them once; one that waits between two decisions keeps the
    /// [`Arc`].
    #[must_use]
    pub fn now(&self) -> Guard<Arc<Rules>> {
        self.0.load()
    }

    /// Reads the file again. A grant whose name and quota are unchanged keeps what its principals
    /// have used. Reload from one task only: of two at once the last one wins.
    ///
    /// # Errors
    /// Every mistake; the current rules stay.
    pub fn reload(&self, path: &Path, projects: Option<&KnownProjects>) -> Result<(), Vec<Mistake>> {
        let before = self.0.load_full();
        let rules = Rules::load(path, projects, Some(&before))?;
        self.0.store(Arc::new(rules));
        Ok(())
    }
}

/// The policy file, which is read again when it changes.
pub struct PolicyFile {
    /// The rules that it replaces.
    pub rules: Arc<LiveRules>,
    /// The file.
    pub path: PathBuf,
    /// The projects that it may name.
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
