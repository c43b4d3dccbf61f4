//! How a changed policy file replaces the rules: a file with a mistake replaces nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tonic::async_trait;

use super::{file::KnownProjects, rules::Rules};
use crate::{
    document::Mistake,
    reload::{Reload, on_a_thread},
};

/// The policy file, which is read again when it changes.
pub struct PolicyFile {
    /// The rules that it replaces. Reading them takes no lock.
    pub rules: Arc<ArcSwap<Rules>>,
    /// The file.
    pub path: PathBuf,
    /// The projects that it may name.
    pub projects: KnownProjects,
}

/// Reads the file again. A grant whose name and quota are unchanged keeps what its principals have
/// used. Replace rules from one task only: of two at once the last one wins.
///
/// # Errors
/// Every mistake; the current rules stay.
pub fn replace(
    rules: &ArcSwap<Rules>,
    path: &Path,
    projects: Option<&KnownProjects>,
) -> Result<(), Vec<Mistake>> {
    let new = Rules::load(path, projects, Some(&rules.load()))?;
    rules.store(Arc::new(new));
    Ok(())
}

#[async_trait]
impl Reload for PolicyFile {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn describe(&self) -> String {
        let rules = self.rules.load();
        format!("{} grants", rules.grants().len())
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let (rules, path, projects) = (self.rules.clone(), self.path.clone(), self.projects.clone());
        on_a_thread(move || replace(&rules, &path, Some(&projects))).await
    }
}
