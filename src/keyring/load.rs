//! Projects' keys from their files.

use std::{fmt::Display, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{
    file::{Strictness, read_key_file},
    project::{Keyring, Project},
    settings::{KeySettings, KeyState, ProjectSettings},
    trial::clashes,
};
use crate::token::SigningKey;

/// The longest access key, in bytes: it is a part of every token.
const LONGEST_ACCESS_KEY: usize = 128;

impl Keyring {
    /// Loads every key, and reports every mistake with the setting or file that it is in. `None`
    /// if there was one.
    pub fn load(settings: &[ProjectSettings], mistake: impl Fn(&dyn Display, &dyn Display)) -> Option<Self> {
        let projects = load_projects(settings, &mistake);
        let loaded: Vec<_> = projects.iter().flatten().map(|project| (project, true)).collect();
        let clashes = clashes(&loaded);
        for clash in &clashes {
            mistake(&clash.place, &clash.what);
        }
        let projects: Option<Vec<_>> = projects.into_iter().filter(|_| clashes.is_empty()).collect();
        let mut defaults = settings.iter().filter(|project| project.is_default);
        let default = defaults.next().map(|project| project.name.clone());
        if let Some(second) = defaults.next() {
            let place = format_args!("projects.{}.default", second.name);
            mistake(&place, &"only one project can be the default");
            return None;
        }
        Some(Self::new(projects?, default))
    }
}

/// Loads every key of every project; `None` stands for a project with a mistake.
pub(super) fn load_projects(
    settings: &[ProjectSettings],
    mistake: impl Fn(&dyn Display, &dyn Display),
) -> Vec<Option<Project>> {
    let mut loader = Loader { mistake: &mistake, failed: false };
    settings.iter().map(|project| loader.project(project)).collect()
}

/// Loads keys and goes on after a mistake.
struct Loader<'a, F> {
    mistake: &'a F,
    /// Whether there was a mistake in the project that is being loaded.
    failed: bool,
}

impl<F: Fn(&dyn Display, &dyn Display)> Loader<'_, F> {
    fn report(&mut self, place: &dyn Display, what: &dyn Display) {
        self.failed = true;
        (self.mistake)(place, what);
    }

    fn project(&mut self, settings: &ProjectSettings) -> Option<Project> {
        self.failed = false;
        let path = format!("projects.{}.keys", settings.name);
        if !settings.keys.iter().any(|key| key.state == KeyState::Active) {
            self.report(&path, &"there is no active key, so nothing could be signed");
        }
        let mut keys = Vec::new();
        for (index, key) in settings.keys.iter().enumerate() {
            if let Some(loaded) = self.key(&format!("{path}[{index}]"), key) {
                keys.push((key.state, Arc::new(loaded)));
            }
        }
        (!self.failed).then(|| Project::new(settings.name.clone(), settings.region, keys))
    }

    fn key(&mut self, path: &str, settings: &KeySettings) -> Option<SigningKey> {
        let access_key = self.read(&settings.access_key_file, Strictness::Public);
        let secret_key = self.read(&settings.secret_key_file, Strictness::Secret);
        let (access_key, secret_key) = (access_key?, secret_key?);
        if access_key.len() > LONGEST_ACCESS_KEY {
            self.report(&path, &format_args!("its access key is longer than {LONGEST_ACCESS_KEY} bytes"));
            return None;
        }
        if access_key == secret_key {
            self.report(
                &path,
                &"both files hold the same; the access key is no secret, so it must be another",
            );
            return None;
        }
        // The vendor's are shorter. Tokens would publish a secret key that was taken for one.
        if access_key.len() > secret_key.len() {
            self.report(&path, &"its access key is longer than its secret key: are the two files swapped?");
            return None;
        }
        let key = SigningKey::new(&access_key, secret_key.as_bytes());
        key.inspect_err(|error| self.report(&path, error)).ok()
    }

    fn read(&mut self, path: &Path, strictness: Strictness) -> Option<Zeroizing<String>> {
        let read = read_key_file(path, strictness);
        read.inspect_err(|errors| errors.iter().for_each(|error| self.report(&path.display(), error))).ok()
    }
}
