//! What a new key must pass before it is used.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use tonic::async_trait;

use super::{
    project::{Keyring, Project},
    settings::KeyState,
};
use crate::{region::Region, token::SigningKey};

/// Whether the whiteboard API accepts a key's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It does.
    Accepted,
    /// It does not.
    Rejected,
    /// It could not be asked.
    Unknown,
}

/// Tries a key on the whiteboard API.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Sends a harmless read.
    async fn accepts(&self, project: &Project, key: Arc<SigningKey>, region: Region) -> Trial;
}

pub(super) const REJECTED: &str = "the whiteboard API does not accept this key";

pub(super) const UNKNOWN: &str = "the whiteboard API could not be asked whether it accepts this key, which takes a region \
     of the project's and an answer";

/// A key's place in the settings. Mistakes name keys by it: an access-key file may hold a secret.
pub(super) struct KeyPath<'a> {
    project: &'a str,
    index: usize,
}

impl Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projects.{}.keys[{}]", self.project, self.index)
    }
}

pub(super) type KeyWithPath<'a> = (KeyPath<'a>, KeyState, &'a Arc<SigningKey>);

pub(super) fn with_paths(project: &Project) -> impl Iterator<Item = KeyWithPath<'_>> {
    let keys = project.keys_with_states().enumerate();
    keys.map(|(index, (state, key))| (KeyPath { project: project.name(), index }, state, key))
}

pub(super) fn signing(project: &Project) -> impl Iterator<Item = KeyWithPath<'_>> {
    with_paths(project).filter(|(_, state, _)| *state != KeyState::VerifyOnly)
}

/// Whether the key was a signing key of this project and region before.
pub(super) fn has_signed(before: &Keyring, project: &Project, key: &SigningKey) -> bool {
    before.project(project.name()).is_some_and(|old| {
        old.region() == project.region() && signing(old).any(|(_, _, old)| old.is_same_as(key))
    })
}

/// Why a key cannot be used after the current ones. `tries`: new signing keys are tried.
pub(super) fn objection(before: &Keyring, state: KeyState, key: &SigningKey, tries: bool) -> Option<String> {
    if !key.verifies_itself() {
        return Some("it does not verify what it signed".to_owned());
    }
    let current = || before.projects().flat_map(|project| project.keys());
    if current().any(|current| key.is_named_by_secret_of(current)) {
        return Some("the file of its access key holds a secret key: are the two files swapped?".to_owned());
    }
    let signs = state != KeyState::VerifyOnly;
    // A pair with one new half is tried, or else taken for two files of different age.
    if (signs && tries) || current().any(|current| current.is_same_as(key)) {
        return None;
    }
    let half = if before.find(key.access_key()).is_some() {
        "access key is in use with another secret key"
    } else if current().any(|current| current.has_secret_of(key)) {
        "secret key is in use with another access key; the other file may still be to come"
    } else {
        return None;
    };
    let remedy = if signs { "set whiteboard.try_new_keys, which tries it, or restart" } else { "restart" };
    Some(format!("its {half}; if that is meant, {remedy}"))
}

/// Two keys that exclude each other.
pub(super) struct Clash {
    /// The indices of their projects.
    pub(super) between: [usize; 2],
    /// The later key's path.
    pub(super) path: String,
    pub(super) what: String,
}

/// Every two keys with the same access key, or of which one's access key is the other's secret key.
/// `projects`: each with whether it is new. Two old ones are not compared again.
pub(super) fn clashes(projects: &[(&Project, bool)]) -> Vec<Clash> {
    let all: Vec<_> = projects
        .iter()
        .enumerate()
        .flat_map(|(number, (project, is_new))| with_paths(project).map(move |key| (number, *is_new, key)))
        .collect();
    let mut clashes = Vec::new();
    for (index, (number, is_new, (path, _, key))) in all.iter().enumerate() {
        for (other, other_is_new, (other_path, _, other_key)) in &all[..index] {
            if !(*is_new || *other_is_new) {
                continue;
            }
            let what = if key.access_key() == other_key.access_key() {
                format!("has the same access key as {other_path}")
            } else if key.is_named_by_secret_of(other_key) || other_key.is_named_by_secret_of(key) {
                format!("and {other_path}: the file of an access key holds a secret key")
            } else {
                continue;
            };
            clashes.push(Clash { between: [*other, *number], path: path.to_string(), what });
        }
    }
    clashes
}
