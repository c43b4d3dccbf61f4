//! The keyring that holds now, and the way to another: a bad file never replaces a good key.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use tokio::time::timeout;
use tonic::async_trait;

use super::{KeyState, Keyring, Project, ProjectSettings};
use crate::{
    region::Region,
    reload::{Content, Reload},
    token::SigningKey,
};

/// How long a new key may take to be tried out: other files wait to be read.
const LONGEST_TRIAL: Duration = Duration::from_secs(5);

/// Asks whoever takes tokens whether a key's are taken. Handed in from above.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// By a harmless read.
    ///
    /// # Errors
    /// That the key is not known to be accepted, in a sentence without anything of the key.
    async fn accepts(&self, key: Arc<SigningKey>, region: Region) -> Result<(), String>;
}

/// Keys that can be replaced while they are used. Reading them takes no lock.
pub struct LiveKeyring {
    current: ArcSwap<Keyring>,
    settings: Vec<ProjectSettings>,
    probe: Option<Arc<dyn Probe>>,
}

impl LiveKeyring {
    /// These, for ever.
    #[must_use]
    pub fn fixed(keyring: Keyring) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings: Vec::new(), probe: None }
    }

    /// These, which were loaded from the files of `settings`, until the files change.
    #[must_use]
    pub fn new(keyring: Keyring, settings: Vec<ProjectSettings>, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings, probe }
    }

    /// The keys of this moment. A call takes along what it needs of them.
    #[must_use]
    pub fn now(&self) -> Guard<Arc<Keyring>> {
        self.current.load()
    }

    /// What a new key must do before it is used.
    async fn try_out(&self, project: &Project, key: &Arc<SigningKey>) -> Result<(), String> {
        let about =
            |what: &str| format!("projects.{}: access key {}: {what}", project.name(), key.access_key());
        if !key.verifies_itself() {
            return Err(about("does not verify what it signed"));
        }
        match (&self.probe, project.region()) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(about("cannot be tried out: the project has no default region")),
            (Some(probe), Some(region)) => {
                let answer = timeout(LONGEST_TRIAL, probe.accepts(key.clone(), region)).await;
                let answer =
                    answer.unwrap_or_else(|_| Err("nobody answered whether it is accepted".to_owned()));
                answer.map_err(|what| about(&what))
            }
        }
    }
}

#[async_trait]
impl Reload for LiveKeyring {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        let keys = self.settings.iter().flat_map(|project| &project.keys);
        keys.flat_map(|key| [key.access_key_file.clone(), key.secret_key_file.clone()]).collect()
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let content = Content::of(&self.files());
        let mistakes = std::sync::Mutex::new(Vec::new());
        let keyring = Keyring::load(&self.settings, |path, what| {
            if let Ok(mut mistakes) = mistakes.lock() {
                mistakes.push(format!("{path}: {what}"));
            }
        });
        let mut mistakes = mistakes.into_inner().unwrap_or_default();
        let Some(keyring) = keyring else { return Err(mistakes) };
        // Else an access key could be paired with another one's secret key.
        if Content::of(&self.files()) != content {
            return Err(vec!["the keys' files changed while they were read; they are read again".to_owned()]);
        }
        let before = self.current.load_full();
        for project in keyring.projects() {
            for (state, key) in project.keys_with_states() {
                let is_new = before.find(key.access_key()).is_none_or(|(_, known)| !known.is_same_as(key));
                if is_new && state != KeyState::VerifyOnly {
                    mistakes.extend(self.try_out(project, key).await.err());
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.current.store(Arc::new(keyring));
        Ok(())
    }
}
