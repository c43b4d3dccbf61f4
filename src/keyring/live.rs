//! The keyring that holds now, and the way to another: a bad file never replaces a good key.

use std::{cell::RefCell, fmt::Display, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use tokio::{task::spawn_blocking, time::timeout};
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
    settings: Arc<[ProjectSettings]>,
    probe: Option<Arc<dyn Probe>>,
}

impl LiveKeyring {
    /// These, for ever.
    #[must_use]
    pub fn fixed(keyring: Keyring) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings: Arc::default(), probe: None }
    }

    /// These, which were loaded from the files of `settings`, until the files change.
    #[must_use]
    pub fn new(keyring: Keyring, settings: Vec<ProjectSettings>, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { current: ArcSwap::from_pointee(keyring), settings: settings.into(), probe }
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
        files(&self.settings)
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let settings = self.settings.clone();
        let keyring = spawn_blocking(move || read(&settings)).await;
        let keyring = keyring.map_err(|error| vec![error.to_string()])??;
        let before = self.current.load_full();
        let mut mistakes = Vec::new();
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

fn files(settings: &[ProjectSettings]) -> Vec<PathBuf> {
    let keys = settings.iter().flat_map(|project| &project.keys);
    keys.flat_map(|key| [key.access_key_file.clone(), key.secret_key_file.clone()]).collect()
}

/// Every file, as all of them were at one time.
fn read(settings: &[ProjectSettings]) -> Result<Keyring, Vec<String>> {
    let content = Content::of(&files(settings));
    let mistakes = RefCell::new(Vec::new());
    let mistake = |place: &dyn Display, what: &dyn Display| {
        mistakes.borrow_mut().push(format!("{place}: {what}"));
    };
    let keyring = Keyring::load(settings, mistake).ok_or_else(|| mistakes.take())?;
    // Else an access key could be paired with another one's secret key.
    if Content::of(&files(settings)) == content {
        Ok(keyring)
    } else {
        Err(vec!["the keys' files changed while they were read; they are read again".to_owned()])
    }
}
