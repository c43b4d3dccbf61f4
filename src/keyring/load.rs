//! Loads projects' keys from their files.

use std::{fmt::Display, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{KeySettings, KeyState, Project, ProjectSettings, Strictness, read_key_file};
use crate::token::SigningKey;

/// The longest access key, in bytes. Every token contains it.
const LONGEST_ACCESS_KEY: usize = 128;

/// Loads every key of every project; `None` stands for a project with a mistake.
pub(super) fn load_projects(
    settings: &[ProjectSettings],
    mistake: impl Fn(&dyn Display, &dyn Display),
) -> Vec<Option<Project>> {
    let mut loader = Loader { mistake: &mistake, failed: false };
    settings.iter().map(|project| loader.project(project)).collect()
}

/// Loads keys, and continues after a mistake.
struct Loader<'a, F> {
    mistake: &'a F,
    /// Whether the current project has a mistake.
    failed: bool,
}

impl<F: Fn(&dyn Display, &dyn Display)> Loader<'_, F> {
    fn report(&mut self, path: &dyn Display, what: &dyn Display) {
        self.failed = true;
        (self.mistake)(path, what);
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
        // The vendor's access keys are shorter. Every token would publish a swapped secret key.
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
