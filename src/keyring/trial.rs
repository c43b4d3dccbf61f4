//! What a key that was not there before must do before it is used.

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

/// What whoever takes tokens says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It is accepted.
    Accepted,
    /// It is not.
    Rejected,
    /// Nobody could be asked.
    Unknown,
}

/// Asks whoever takes tokens whether a key's are taken. Handed in from above.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// By a harmless read.
    async fn accepts(&self, key: Arc<SigningKey>, region: Region) -> Trial;
}

pub(super) const REJECTED: &str = "the whiteboard API does not accept this key";

pub(super) const UNKNOWN: &str = "the whiteboard API could not be asked whether it accepts this key, which takes a region \
     of the project's and an answer";

/// Where a key stands in the settings. Mistakes name keys by it, because a file may hold another thing
/// than it should.
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

/// Whether a key has signed for this project and its region before.
pub(super) fn has_signed(before: &Keyring, project: &Project, key: &SigningKey) -> bool {
    before.project(project.name()).is_some_and(|known| {
        known.region() == project.region() && signing(known).any(|(_, _, known)| known.is_same_as(key))
    })
}

/// What a key itself tells that it is no good, beside the keys before. `is_tried`: whether it will be
/// tried out, if it is to sign.
pub(super) fn objection(before: &Keyring, key: &SigningKey, is_tried: bool) -> Option<&'static str> {
    if !key.verifies_itself() {
        return Some("it does not verify what it signed");
    }
    let known = || before.projects().flat_map(|project| project.keys());
    if known().any(|known| key.is_named_by_secret_of(known)) {
        return Some("the file of its access key holds a secret key: are the two files swapped?");
    }
    // A pair of which one half is new is asked about, or else taken for two files of different age.
    if is_tried || known().any(|known| known.is_same_as(key)) {
        return None;
    }
    if before.find(key.access_key()).is_some() {
        return Some(
            "its access key is known with another secret key; if that is meant, set \
             whiteboard.try_new_keys, so that it is tried out, or restart",
        );
    }
    known().any(|known| known.has_secret_of(key)).then_some(
        "its secret key is known with another access key; the other file may still be to come; if that is meant, \
         set whiteboard.try_new_keys, so that it is tried out, or restart",
    )
}

/// What keys of a whole set have against each other.
pub(super) struct Clash {
    /// The projects that cannot be used together, by their indices in the set.
    pub(super) between: [usize; 2],
    pub(super) path: String,
    pub(super) what: String,
}

/// Keys that cannot stand beside each other: one access key twice, or one that is another's secret key.
/// `projects`: each with whether it is new; what both were there before has been judged.
pub(super) fn clashes(projects: &[(&Project, bool)]) -> Vec<Clash> {
    let all: Vec<_> = projects
        .iter()
        .enumerate()
        .flat_map(|(number, (project, is_new))| with_paths(project).map(move |key| (number, *is_new, key)))
        .collect();
    let mut clashes = Vec::new();
    for (index, (number, is_new, (path, _, key))) in all.iter().enumerate() {
        for (other, was_new, (other_path, _, other_key)) in &all[..index] {
            if !(*is_new || *was_new) {
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
