//! The current keyring and its reload: a bad file never replaces a good key.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
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

/// How long a new key may take to be tried out.
const LONGEST_TRIAL: Duration = Duration::from_secs(5);

/// Keys that can be replaced while they are used. Reading them takes no lock.
pub struct LiveKeyring {
    current: ArcSwap<Keyring>,
    settings: Arc<[ProjectSettings]>,
    probe: Option<Arc<dyn Probe>>,
}

impl LiveKeyring {
    /// These keys, without a reload.
    #[must_use]
    pub fn fixed(keyring: Keyring) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings: Arc::default(), probe: None }
    }

    /// These, which were loaded from the files of `settings`, until the files change.
    #[must_use]
    pub fn new(keyring: Keyring, settings: Vec<ProjectSettings>, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings: settings.into(), probe }
    }

    /// The same keys, until the files of `settings`, which they were loaded from, change.
    #[must_use]
    pub fn reloading(&self, settings: Vec<ProjectSettings>, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { current: ArcSwap::new(self.current.load_full()), settings: settings.into(), probe }
    }

    /// The current keys. A call takes along what it needs of them.
    #[must_use]
    pub fn now(&self) -> Guard<Arc<Keyring>> {
        self.current.load()
    }

    /// Tries all keys that sign, if new keys are tried: at the start every key is new. Where nobody
    /// can be asked, they are used: an upstream that is away must not keep a server from starting.
    ///
    /// # Errors
    /// Each active key that is not accepted. Of one that is retiring it is logged.
    pub async fn try_at_start(&self) -> Result<(), Vec<String>> {
        let now = self.current.load_full();
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
                let trial = timeout(LONGEST_TRIAL, probe.accepts(key.clone(), region)).await;
                trial.unwrap_or(Trial::Unknown)
            }
        }
    }

    const fn is_tried(&self, state: KeyState) -> bool {
        self.probe.is_some() && !matches!(state, KeyState::VerifyOnly)
    }

    /// What keeps a project from being taken over.
    async fn mistakes(&self, before: &Keyring, project: &Project) -> Vec<String> {
        let mut mistakes: Vec<_> = with_paths(project)
            .filter_map(|(path, state, key)| {
                Some(format!("{path}: {}", objection(before, key, self.is_tried(state))?))
            })
            .collect();
        if !mistakes.is_empty() {
            return mistakes;
        }
        let new = signing(project).filter(|(_, _, key)| !has_signed(before, project, key));
        let trials = new.map(|(path, _, key)| async move { (path, self.trial(project, key).await) });
        for (path, trial) in join_all(trials).await {
            match trial {
                Trial::Accepted => {}
                Trial::Rejected => mistakes.push(format!("{path}: {REJECTED}")),
                Trial::Unknown => mistakes.push(format!("{path}: {UNKNOWN}")),
            }
        }
        mistakes
    }
}

#[async_trait]
impl Reload for LiveKeyring {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.settings)
    }

    /// Each project by itself: one whose files are bad keeps its keys, and keeps no other from theirs.
    async fn reload(&self) -> Result<(), Vec<String>> {
        let settings = self.settings.clone();
        let (read, mut mistakes) = on_a_thread(move || read(&settings)).await?;
        let before = self.current.load_full();
        let judged = read.into_iter().map(async |project| match project {
            None => (None, Vec::new()),
            Some(project) => {
                let refused = self.mistakes(&before, &project).await;
                (Some(Arc::new(project)).filter(|_| refused.is_empty()), refused)
            }
        });
        let (mut new, refused): (Vec<_>, Vec<_>) = join_all(judged).await.into_iter().unzip();
        mistakes.extend(refused.into_iter().flatten());
        let (settings, known) = (self.settings.clone(), before.clone());
        let (new, withdrawn) = on_a_thread(move || {
            let why = withdraw(&settings, &known, &mut new);
            Ok::<_, Vec<String>>((new, why))
        })
        .await?;
        mistakes.extend(withdrawn);
        let projects = self.settings.iter().zip(new).filter_map(|(settings, new)| {
            let known = before.project(&settings.name);
            if let Some(new) = &new
                && known.is_some_and(|known| !new.has_keys_of(known))
            {
                tracing::info!(project = settings.name, "the project's new keys are in use");
            }
            new.or_else(|| known.cloned())
        });
        self.current.store(Arc::new(Keyring::of(projects.collect(), before.default.clone())));
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

/// Takes back what cannot stand beside the others, until all can; gives why.
fn withdraw(settings: &[ProjectSettings], before: &Keyring, new: &mut [Option<Arc<Project>>]) -> Vec<String> {
    let mut mistakes = Vec::new();
    loop {
        let chosen = settings.iter().zip(&*new).filter_map(|(settings, new)| match new {
            Some(new) => Some((&**new, true)),
            None => Some((&**before.project(&settings.name)?, false)),
        });
        let clashes = clashes(&chosen.collect::<Vec<_>>());
        if clashes.is_empty() {
            return mistakes;
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

type Read = (Vec<Option<Project>>, Vec<String>);

/// Every project that can be used, as its files were at one time, and all that is wrong with others.
fn read(settings: &[ProjectSettings]) -> Result<Read, Vec<String>> {
    let content = Content::of(&files(settings));
    let (projects, mistakes) = load_projects(settings);
    // Else an access key could be paired with another one's secret key.
    if Content::of(&files(settings)) == content {
        Ok((projects, mistakes.iter().map(ToString::to_string).collect()))
    } else {
        Err(vec!["the keys' files changed while they were read; they are read again".to_owned()])
    }
}
