//! Projects and their access keys. Keys come from files only.

mod file;
mod live;
mod load;
mod trial;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Display},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

pub use self::{
    file::{KeyFileError, SHORTEST_SECRET, Strictness, read_key_file},
    live::LiveKeyring,
    trial::{Probe, Trial},
};
use self::{load::load_projects, trial::clashes};
pub use crate::file::FileError;
use crate::{region::Region, token::SigningKey};

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

impl FromStr for KeyState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "active" => Ok(Self::Active),
            "retiring" => Ok(Self::Retiring),
            "verify-only" => Ok(Self::VerifyOnly),
            _ => Err(()),
        }
    }
}

/// A project of the settings: `[projects.NAME]`.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// Its name in the settings.
    pub name: String,
    /// Whether it is the default project of requests that name none.
    pub is_default: bool,
    /// The default region of requests that name none.
    pub region: Option<Region>,
    /// Its keys, in order.
    pub keys: Vec<KeySettings>,
}

/// A key of a project.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The file with the access key.
    pub access_key_file: PathBuf,
    /// The file with the secret key: closed to other users, at least [`SHORTEST_SECRET`] bytes.
    pub secret_key_file: PathBuf,
    /// What the key may do.
    pub state: KeyState,
}

/// A project with its keys.
#[derive(Debug)]
pub struct Project {
    name: String,
    region: Option<Region>,
    keys: Vec<(KeyState, Arc<SigningKey>)>,
}

impl Project {
    /// A project with the keys given, for tests and tools.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        region: Option<Region>,
        keys: Vec<(KeyState, Arc<SigningKey>)>,
    ) -> Self {
        Self { name: name.into(), region, keys }
    }

    /// Its name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The default region of requests that name none.
    #[must_use]
    pub const fn region(&self) -> Option<Region> {
        self.region
    }

    /// All its keys, in any state.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// All its keys, with their states.
    pub fn keys_with_states(&self) -> impl Iterator<Item = (KeyState, &Arc<SigningKey>)> {
        self.keys.iter().map(|(state, key)| (*state, key))
    }

    /// Whether it has another project's keys, in the same states.
    fn has_keys_of(&self, other: &Self) -> bool {
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
    projects: BTreeMap<String, Arc<Project>>,
    default: Option<String>,
    /// Access key → its project's name.
    owners: HashMap<String, String>,
}

impl Keyring {
    /// A keyring with the projects given. A single project is the default one.
    #[must_use]
    pub fn new(projects: Vec<Project>, default: Option<String>) -> Self {
        Self::of(projects.into_iter().map(Arc::new).collect(), default)
    }

    fn of(projects: Vec<Arc<Project>>, default: Option<String>) -> Self {
        let owners = projects
            .iter()
            .flat_map(|project| project.keys().map(|key| (key.access_key().to_owned(), project.name.clone())))
            .collect();
        let only = if let [only] = &*projects { Some(only.name.clone()) } else { None };
        let projects = projects.into_iter().map(|project| (project.name.clone(), project)).collect();
        Self { projects, default: default.or(only), owners }
    }

    /// Loads every key, and reports every mistake with its setting or file. `None` if there is one.
    pub fn load(settings: &[ProjectSettings], mistake: impl Fn(&dyn Display, &dyn Display)) -> Option<Self> {
        let projects = load_projects(settings, &mistake);
        let loaded: Vec<_> = projects.iter().flatten().map(|project| (project, true)).collect();
        let clashes = clashes(&loaded);
        for clash in &clashes {
            mistake(&clash.path, &clash.what);
        }
        let projects: Option<Vec<_>> = projects.into_iter().filter(|_| clashes.is_empty()).collect();
        let mut defaults = settings.iter().filter(|project| project.is_default);
        let default = defaults.next().map(|project| project.name.clone());
        if let Some(second) = defaults.next() {
            let path = format_args!("projects.{}.default", second.name);
            mistake(&path, &"only one project can be the default");
            return None;
        }
        Some(Self::new(projects?, default))
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

impl Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::VerifyOnly => "verify-only",
        })
    }
}
