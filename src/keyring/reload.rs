//! How changed key files replace the keyring: a bad file never replaces a good key.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::async_trait;

use super::{
    load::load_projects,
    project::{Keyring, Project},
    settings::{KeyState, ProjectSettings},
    trial::{Probe, REJECTED, Trial, UNKNOWN, clashes, has_signed, objection, signing, with_paths},
};
use crate::{
    reload::{Content, Reload, on_a_thread},
    token::SigningKey,
};

/// The timeout of a trial.
const LONGEST_TRIAL: Duration = Duration::from_secs(5);

/// The key files of all projects, which are read again when one changes.
pub struct KeyFiles {
    /// The keyring that they replace. Reading it takes no lock.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The projects, with their files.
    pub settings: Arc<[ProjectSettings]>,
    /// Tries new signing keys; `None`: they are used untried.
    pub probe: Option<Arc<dyn Probe>>,
}

impl KeyFiles {
    /// Tries all signing keys, if new keys are tried: at the start every key is new. A server starts
    /// without its upstream, so a key whose trial has no answer is used.
    ///
    /// # Errors
    /// Each active key that is rejected. A retiring key that is rejected is logged.
    pub async fn try_at_start(&self) -> Result<(), Vec<String>> {
        let now = self.keyring.load_full();
        let trials = now.projects().flat_map(|project| {
            signing(project)
                .map(move |(path, state, key)| async move { (path, state, self.trial(project, key).await) })
        });
        let mut rejected = Vec::new();
        for (path, state, trial) in join_all(trials).await {
            match trial {
                Trial::Accepted => {}
                Trial::Rejected if state == KeyState::Active => rejected.push(format!("{path}: {REJECTED}")),
                Trial::Rejected => tracing::warn!(key = %path, "{REJECTED}"),
                Trial::Unknown => tracing::warn!(key = %path, "{UNKNOWN}; it is used untried"),
            }
        }
        if rejected.is_empty() { Ok(()) } else { Err(rejected) }
    }

    async fn trial(&self, project: &Project, key: &Arc<SigningKey>) -> Trial {
        match (&self.probe, project.region()) {
            (None, _) => Trial::Accepted,
            (Some(_), None) => Trial::Unknown,
            (Some(probe), Some(region)) => {
                let trial = timeout(LONGEST_TRIAL, probe.accepts(project, key.clone(), region)).await;
                trial.unwrap_or(Trial::Unknown)
            }
        }
    }

    /// Tries a project's new signing keys; gives why one cannot be used.
    async fn failed_trials(&self, before: &Keyring, project: &Project) -> Vec<String> {
        let new = signing(project).filter(|(_, _, key)| !has_signed(before, project, key));
        let trials = new.map(|(path, _, key)| async move { (path, self.trial(project, key).await) });
        let failed = join_all(trials).await.into_iter().filter_map(|(path, trial)| match trial {
            Trial::Accepted => None,
            Trial::Rejected => Some(format!("{path}: {REJECTED}")),
            Trial::Unknown => Some(format!("{path}: {UNKNOWN}")),
        });
        failed.collect()
    }
}

#[async_trait]
impl Reload for KeyFiles {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.settings)
    }

    fn describe(&self) -> String {
        let keyring = self.keyring.load();
        let projects: Vec<_> = keyring.projects().map(|project| project.describe()).collect();
        projects.join("; ")
    }

    /// Each project by itself: one with a mistake keeps its keys, and does not affect the others.
    async fn reload(&self) -> Result<(), Vec<String>> {
        let before = self.keyring.load_full();
        let (settings, old, tries) = (self.settings.clone(), before.clone(), self.probe.is_some());
        let (new, mut mistakes) = on_a_thread(move || candidates(&settings, &old, tries)).await?;
        let trials = new.into_iter().map(async |project| {
            let Some(project) = project else { return (None, Vec::new()) };
            let failed = self.failed_trials(&before, &project).await;
            (Some(project).filter(|_| failed.is_empty()), failed)
        });
        let (new, failed): (Vec<_>, Vec<_>) = join_all(trials).await.into_iter().unzip();
        mistakes.extend(failed.into_iter().flatten());
        let (settings, old) = (self.settings.clone(), before.clone());
        // A project that failed its trial keeps its old keys, which may clash with new ones.
        let (new, clashing) =
            on_a_thread(move || Ok::<_, Vec<String>>(withdraw_clashing(&settings, &old, new))).await?;
        mistakes.extend(clashing);
        let projects = self.settings.iter().zip(new).filter_map(|(settings, new)| {
            let old = before.project(&settings.name);
            if let (Some(new), Some(old)) = (&new, old)
                && !new.has_keys_of(old)
            {
                let (keys, before) = (new.describe(), old.describe());
                tracing::info!(project = settings.name, keys, before, "the project's new keys are in use");
            }
            new.or_else(|| old.cloned())
        });
        self.keyring.store(Arc::new(Keyring::of(projects.collect(), before.default.clone())));
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

/// The new project of each of the settings, `None` where it keeps its keys; and every mistake.
type Candidates = (Vec<Option<Arc<Project>>>, Vec<String>);

/// Loads the projects whose new keys may be tried. Clashes are found here,
/// because a trial sends the access key, and its file may hold another key's secret.
fn candidates(
    settings: &[ProjectSettings],
    before: &Keyring,
    tries: bool,
) -> Result<Candidates, Vec<String>> {
    let (loaded, mut mistakes) = load(settings)?;
    let mut new = Vec::new();
    for project in loaded {
        let known = mistakes.len();
        for (path, state, key) in project.iter().flat_map(with_paths) {
            let what = objection(before, state, key, tries);
            mistakes.extend(what.map(|what| format!("{path}: {what}")));
        }
        let project = project.filter(|_| mistakes.len() == known);
        new.push(project.map(|project| Arc::new(project.in_place_of(before))));
    }
    let (new, clashing) = withdraw_clashing(settings, before, new);
    mistakes.extend(clashing);
    Ok((new, mistakes))
}

/// Withdraws projects with clashing keys until no two clash; gives why.
fn withdraw_clashing(
    settings: &[ProjectSettings],
    before: &Keyring,
    mut new: Vec<Option<Arc<Project>>>,
) -> Candidates {
    let mut mistakes = Vec::new();
    loop {
        let chosen = settings.iter().zip(&new).filter_map(|(settings, new)| match new {
            Some(new) => Some((&**new, true)),
            None => Some((&**before.project(&settings.name)?, false)),
        });
        let clashes = clashes(&chosen.collect::<Vec<_>>());
        if clashes.is_empty() {
            return (new, mistakes);
        }
        let withdrawn: BTreeSet<_> = clashes.iter().flat_map(|clash| clash.between).collect();
        for project in withdrawn {
            new[project] = None;
        }
        mistakes.extend(clashes.into_iter().map(|clash| format!("{} {}", clash.path, clash.what)));
    }
}

fn files(settings: &[ProjectSettings]) -> Vec<PathBuf> {
    let keys = settings.iter().flat_map(|project| &project.keys);
    keys.flat_map(|key| [key.access_key_file.clone(), key.secret_key_file.clone()]).collect()
}

type Loaded = (Vec<Option<Project>>, Vec<String>);

/// Loads every project from one version of its files; `None` stands for one with a mistake.
fn load(settings: &[ProjectSettings]) -> Result<Loaded, Vec<String>> {
    let content = Content::of(&files(settings));
    let (projects, mistakes) = load_projects(settings);
    // Otherwise an access key could be paired with another key's secret.
    if Content::of(&files(settings)) == content {
        Ok((projects, mistakes.iter().map(ToString::to_string).collect()))
    } else {
        Err(vec!["the key files changed while they were read; they are read again".to_owned()])
    }
}
