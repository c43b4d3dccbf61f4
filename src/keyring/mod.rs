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
use crate::{document::Mistake, region::Region, token::SigningKey};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Signs. The first active key of a project signs what names no key.
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

/// A table of `[projects]`.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// Its name in the settings.
    pub name: String,
    /// Whether it is meant where a request names no project.
    pub is_default: bool,
    /// The region that is meant where a request names none.
    pub region: Option<Region>,
    /// Its keys, in order.
    pub keys: Vec<KeySettings>,
}

/// The project that is meant where a request names none: the one that is marked as default, else the
/// only one. `projects`: their names, each with whether it is marked.
#[must_use]
pub fn default_project<'a>(projects: impl Iterator<Item = (&'a str, bool)>) -> Option<&'a str> {
    let projects: Vec<_> = projects.collect();
    let only = projects.first().filter(|_| projects.len() == 1);
    projects.iter().find(|(_, is_marked)| *is_marked).or(only).map(|(name, _)| *name)
}

/// A key of a project.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// Holds the access key.
    pub access_key_file: PathBuf,
    /// Holds the secret key: closed to others, at least [`SHORTEST_SECRET`] bytes.
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
    /// A project of keys that are in memory already, for tests and tools.
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

    /// The region that is meant where a request names none.
    #[must_use]
    pub const fn region(&self) -> Option<Region> {
        self.region
    }

    /// All its keys, in any state.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// All its keys, with what they may do.
    pub fn keys_with_states(&self) -> impl Iterator<Item = (KeyState, &Arc<SigningKey>)> {
        self.keys.iter().map(|(state, key)| (*state, key))
    }

    /// Whether its keys are another's, and may do the same.
    fn has_keys_of(&self, other: &Self) -> bool {
        let is_same =
            |((state, key), (other_state, other_key)): ((_, &Arc<SigningKey>), (_, &Arc<SigningKey>))| {
                state == other_state && key.is_same_as(other_key)
            };
        self.keys.len() == other.keys.len()
            && self.keys_with_states().zip(other.keys_with_states()).all(is_same)
    }

    /// The key to sign with: the one named, or the first active one where `access_key` is empty.
    /// `None` if it is unknown here or may only verify.
    #[must_use]
    pub fn signing_key(&self, access_key: &str) -> Option<&Arc<SigningKey>> {
        let meant = |(state, key): &&(KeyState, Arc<SigningKey>)| match state {
            KeyState::Active => access_key.is_empty() || key.access_key() == access_key,
            KeyState::Retiring => key.access_key() == access_key,
            KeyState::VerifyOnly => false,
        };
        self.keys.iter().find(meant).map(|(_, key)| key)
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
    /// A keyring of projects that are in memory already. A single project is the default one.
    #[must_use]
    pub fn new(projects: Vec<Project>, default: Option<String>) -> Self {
        let unmarked = || default_project(projects.iter().map(|project| (project.name(), false)));
        let default = default.or_else(|| unmarked().map(str::to_owned));
        Self::of(projects.into_iter().map(Arc::new).collect(), default)
    }

    fn of(projects: Vec<Arc<Project>>, default: Option<String>) -> Self {
        let owners = projects
            .iter()
            .flat_map(|project| project.keys().map(|key| (key.access_key().to_owned(), project.name.clone())))
            .collect();
        let projects = projects.into_iter().map(|project| (project.name.clone(), project)).collect();
        Self { projects, default, owners }
    }

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

    /// A project by its name; the default one where `name` is empty.
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
