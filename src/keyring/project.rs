//! Projects and the keyring of all of them, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::settings::{KeyState, default_project};
use crate::{
    clock::UnixMillis,
    methods::Rpc,
    region::Region,
    token::{Kind, Role, SigningKey},
};

/// A project with its keys.
#[derive(Debug)]
pub struct Project {
    name: Arc<str>,
    region: Option<Region>,
    conversion_region: Option<Region>,
    keys: Vec<(KeyState, Arc<SigningKey>)>,
    /// When each key's secret file was changed; empty or `None`: nobody knows.
    changed: Vec<Option<UnixMillis>>,
    minted: Arc<Minted>,
}

/// How many tokens were minted, by kind and role.
#[derive(Debug, Default)]
pub struct Minted([[AtomicU64; Role::ALL.len()]; Kind::ALL.len()]);

impl Minted {
    /// One more.
    pub fn count(&self, kind: Kind, role: Role) {
        self.0[kind as usize][role as usize].fetch_add(1, Relaxed);
    }

    /// Each kind and role.
    pub fn all(&self) -> impl Iterator<Item = (Kind, Role, u64)> {
        let count = |kind, role| self.0[kind as usize][role as usize].load(Relaxed);
        Kind::ALL
            .into_iter()
            .flat_map(move |kind| Role::ALL.into_iter().map(move |role| (kind, role, count(kind, role))))
    }
}

impl Project {
    /// A project with the keys given, for tests and tools.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        region: Option<Region>,
        keys: Vec<(KeyState, Arc<SigningKey>)>,
    ) -> Self {
        let (name, minted) = (name.into(), Arc::default());
        Self { name, region, conversion_region: region, keys, changed: Vec::new(), minted }
    }

    /// With the time at which each key's secret file was changed.
    pub(super) fn with_changes(self, changed: Vec<Option<UnixMillis>>) -> Self {
        Self { changed, ..self }
    }

    /// Counting on from where the project of this name is.
    pub(super) fn in_place_of(self, before: &Keyring) -> Self {
        let minted = before.project(&self.name).map_or(self.minted, |before| before.minted.clone());
        Self { minted, ..self }
    }

    /// How many of its tokens were minted since the start.
    #[must_use]
    pub fn minted(&self) -> &Minted {
        &self.minted
    }

    /// When each key's secret file was changed, where that is known.
    pub fn changes(&self) -> impl Iterator<Item = (KeyState, &Arc<SigningKey>, UnixMillis)> {
        let known = |((state, key), changed): (_, &Option<UnixMillis>)| Some((state, key, (*changed)?));
        self.keys_with_states().zip(&self.changed).filter_map(known)
    }

    /// With another default region for conversions.
    #[must_use]
    pub fn with_conversion_region(self, region: Option<Region>) -> Self {
        Self { conversion_region: region.or(self.region), ..self }
    }

    /// Its name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, to keep.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The default region of requests that name none.
    #[must_use]
    pub const fn region(&self) -> Option<Region> {
        self.region
    }

    /// The same for calls of an RPC, if it goes upstream.
    #[must_use]
    pub fn region_of(&self, rpc: Rpc) -> Option<Region> {
        let region = if rpc.is_of_conversions() { self.conversion_region } else { self.region };
        region.filter(|_| rpc.goes_upstream())
    }

    /// All its keys, in any state.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// All its keys, with their states.
    pub fn keys_with_states(&self) -> impl Iterator<Item = (KeyState, &Arc<SigningKey>)> {
        self.keys.iter().map(|(state, key)| (*state, key))
    }

    /// Its name, and its keys by their public halves, for the log.
    pub(super) fn describe(&self) -> String {
        let keys = self.keys_with_states().map(|(state, key)| format!("{} {state}", key.access_key()));
        format!("{}: {}", self.name, keys.collect::<Vec<_>>().join(", "))
    }

    /// Whether it has another project's keys, in the same states.
    pub(super) fn has_keys_of(&self, other: &Self) -> bool {
        let is_same =
            |((state, key), (other_state, other_key)): ((_, &Arc<SigningKey>), (_, &Arc<SigningKey>))| {
                state == other_state && key.is_same_as(other_key)
            };
        self.keys.len() == other.keys.len()
            && self.keys_with_states().zip(other.keys_with_states()).all(is_same)
    }

    /// The key to sign with: the one named, or the first active one if `access_key` is empty. `None` if
    /// the project has no such key, or it only verifies.
    #[must_use]
    pub fn signing_key(&self, access_key: &str) -> Option<&Arc<SigningKey>> {
        let may_sign = |(state, key): &&(KeyState, Arc<SigningKey>)| match state {
            KeyState::Active => access_key.is_empty() || key.access_key() == access_key,
            KeyState::Retiring => key.access_key() == access_key,
            KeyState::VerifyOnly => false,
        };
        self.keys.iter().find(may_sign).map(|(_, key)| key)
    }
}

/// All projects.
#[derive(Debug)]
pub struct Keyring {
    projects: BTreeMap<Arc<str>, Arc<Project>>,
    pub(super) default: Option<String>,
    /// Access key → its project's name.
    owners: HashMap<String, Arc<str>>,
}

impl Keyring {
    /// A keyring with the projects given. A single project is the default one.
    #[must_use]
    pub fn new(projects: Vec<Project>, default: Option<String>) -> Self {
        let unmarked = || default_project(projects.iter().map(|project| (project.name(), false)));
        let default = default.or_else(|| unmarked().map(str::to_owned));
        Self::of(projects.into_iter().map(Arc::new).collect(), default)
    }

    pub(super) fn of(projects: Vec<Arc<Project>>, default: Option<String>) -> Self {
        let owners = projects
            .iter()
            .flat_map(|project| project.keys().map(|key| (key.access_key().to_owned(), project.name.clone())))
            .collect();
        let projects = projects.into_iter().map(|project| (project.name.clone(), project)).collect();
        Self { projects, default, owners }
    }

    /// A project by its name; the default one if `name` is empty.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Arc<Project>> {
        let name = if name.is_empty() { self.default.as_deref()? } else { name };
        self.projects.get(name)
    }

    /// All projects, by name.
    pub fn projects(&self) -> impl Iterator<Item = &Arc<Project>> {
        self.projects.values()
    }

    /// The project and key of an access key, in any state.
    #[must_use]
    pub fn find(&self, access_key: &str) -> Option<(&Arc<Project>, &Arc<SigningKey>)> {
        let project = self.projects.get(self.owners.get(access_key)?)?;
        let key = project.keys().find(|key| key.access_key() == access_key)?;
        Some((project, key))
    }
}
