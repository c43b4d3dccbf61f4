//! `[projects]`.

use std::path::PathBuf;

use crate::{names::names, region::Region};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Signs. A project's first active key signs what names no key.
    Active,
    /// Signs only what names it.
    Retiring,
    /// Only verifies.
    VerifyOnly,
}

names! { pub KeyState { Active = "active", Retiring = "retiring", VerifyOnly = "verify-only" } }

/// A project of the settings: `[projects.NAME]`.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// Its name in the settings.
    pub name: String,
    /// Whether it is the default project of requests that name none.
    pub is_default: bool,
    /// The default region of requests that name none.
    pub region: Option<Region>,
    /// The same for conversions; `None`: `region`.
    pub conversion_region: Option<Region>,
    /// Its keys, in order.
    pub keys: Vec<KeySettings>,
}

/// The default project of requests that name none: the marked one, otherwise the only one.
/// `projects`: their names, each with whether it is marked.
#[must_use]
pub fn default_project<'a>(projects: impl Iterator<Item = (&'a str, bool)>) -> Option<&'a str> {
    let projects: Vec<_> = projects.collect();
    let only = projects.first().filter(|_| projects.len() == 1);
    projects.iter().find(|(_, is_marked)| *is_marked).or(only).map(|(name, _)| *name)
}

/// A key of a project.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The file with the access key.
    pub access_key_file: PathBuf,
    /// The file with the secret key: closed to other users, at least
    /// [`SHORTEST_SECRET`](super::SHORTEST_SECRET) bytes.
    pub secret_key_file: PathBuf,
    /// What the key may do.
    pub state: KeyState,
}
