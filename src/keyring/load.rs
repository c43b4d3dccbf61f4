//! Projects' keys from their files.

use std::{fmt::Display, fs, path::Path, sync::Arc, time::UNIX_EPOCH};

use zeroize::Zeroizing;

use super::{
    file::{Strictness, read_key_file},
    project::{Keyring, Project},
    settings::{KeySettings, KeyState, ProjectSettings, default_project},
    trial::clashes,
};
use crate::{clock::UnixMillis, document::Mistake, token::SigningKey};

/// The longest access key, in bytes: it is a part of every token.
const LONGEST_ACCESS_KEY: usize = 128;

impl Keyring {
    /// Loads every key.
    ///
    /// # Errors
    /// Every mistake, with the setting or the key file that it is in.
    pub fn load(settings: &[ProjectSettings]) -> Result<Self, Vec<Mistake>> {
        let (projects, mut mistakes) = load_projects(settings);
        let loaded: Vec<_> = projects.iter().flatten().map(|project| (project, true)).collect();
        mistakes.extend(clashes(&loaded).iter().map(|clash| Mistake::in_setting(&clash.path, &clash.what)));
        if let Some(second) = settings.iter().filter(|project| project.is_default).nth(1) {
            let path = format_args!("projects.{}.default", second.name);
            mistakes.push(Mistake::in_setting(path, "only one project can be the default"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let default = default_project(settings.iter().map(|project| (&*project.name, project.is_default)));
        let default = default.map(str::to_owned);
        Ok(Self::of(projects.into_iter().flatten().map(Arc::new).collect(), default))
    }
}

/// Loads every key of every project; `None` stands for a project with a mistake.
pub(super) fn load_projects(settings: &[ProjectSettings]) -> (Vec<Option<Project>>, Vec<Mistake>) {
    let mut loader = Loader { mistakes: Vec::new() };
    let projects = settings.iter().map(|project| loader.project(project)).collect();
    (projects, loader.mistakes)
}

/// When a file was changed.
fn changed(path: &Path) -> Option<UnixMillis> {
    let since_epoch = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    UnixMillis::EPOCH.checked_add(since_epoch)
}

/// Loads keys, and continues after a mistake.
struct Loader {
    mistakes: Vec<Mistake>,
}

impl Loader {
    fn wrong(&mut self, path: &str, what: impl Display) {
        self.mistakes.push(Mistake::in_setting(path, what));
    }

    fn project(&mut self, settings: &ProjectSettings) -> Option<Project> {
        let before = self.mistakes.len();
        let path = format!("projects.{}.keys", settings.name);
        if !settings.keys.iter().any(|key| key.state == KeyState::Active) {
            self.wrong(&path, "there is no active key, so nothing could be signed");
        }
        let mut keys = Vec::new();
        for (index, key) in settings.keys.iter().enumerate() {
            if let Some(loaded) = self.key(&format!("{path}[{index}]"), key) {
                keys.push((key.state, Arc::new(loaded)));
            }
        }
        let is_right = self.mistakes.len() == before;
        is_right.then(|| {
            Project::new(&*settings.name, settings.region, keys)
                .with_conversion_region(settings.conversion_region)
                .with_changes(settings.keys.iter().map(|key| changed(&key.secret_key_file)).collect())
        })
    }

    fn key(&mut self, path: &str, settings: &KeySettings) -> Option<SigningKey> {
        let access_key = self.read(&settings.access_key_file, Strictness::Public);
        let secret_key = self.read(&settings.secret_key_file, Strictness::Secret);
        let (access_key, secret_key) = (access_key?, secret_key?);
        if access_key.len() > LONGEST_ACCESS_KEY {
            self.wrong(path, format_args!("its access key is longer than {LONGEST_ACCESS_KEY} bytes"));
            return None;
        }
        if access_key == secret_key {
            self.wrong(path, "both files hold the same; the access key is no secret, so it must be another");
            return None;
        }
        // The vendor's are shorter. Tokens would publish a secret key that was taken for one.
        if access_key.len() > secret_key.len() {
            self.wrong(path, "its access key is longer than its secret key: are the two files swapped?");
            return None;
        }
        let key = SigningKey::new(&access_key, secret_key.as_bytes());
        key.inspect_err(|error| self.wrong(path, error)).ok()
    }

    fn read(&mut self, path: &Path, strictness: Strictness) -> Option<Zeroizing<String>> {
        let read = read_key_file(path, strictness);
        let note = |errors: Vec<_>| {
            self.mistakes.extend(errors.iter().map(|error| Mistake::in_file(path, error)));
        };
        read.map_err(note).ok()
    }
}
