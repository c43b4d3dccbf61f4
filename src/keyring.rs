//! Projects and their access keys.
//!
//! Keys come from files only. A file is opened once and judged by what was opened, so that a
//! swapped symlink cannot pass one file's check with another file's content.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Display},
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{region::Region, token::SigningKey};

/// The shortest secret key that `serve` takes, in bytes.
pub const SHORTEST_SECRET: usize = 16;

/// The longest key file, in bytes.
const LONGEST_FILE: usize = 4096;

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

    /// All its keys, whatever they may do.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        self.keys.iter().map(|(_, key)| key)
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
    projects: BTreeMap<String, Project>,
    default: Option<String>,
    /// Access key → its project's name.
    owners: HashMap<String, String>,
}

impl Keyring {
    /// A keyring of projects that are in memory already. A single project is the default one.
    #[must_use]
    pub fn new(projects: Vec<Project>, default: Option<String>) -> Self {
        let owners = projects
            .iter()
            .flat_map(|project| project.keys().map(|key| (key.access_key().to_owned(), project.name.clone())))
            .collect();
        let only = if let [only] = &*projects { Some(only.name.clone()) } else { None };
        let projects = projects.into_iter().map(|project| (project.name.clone(), project)).collect();
        Self { projects, default: default.or(only), owners }
    }

    /// Loads every key, and reports every mistake with the setting or file that it is in. `None`
    /// if there was one.
    pub fn load(settings: &[ProjectSettings], mistake: impl Fn(&dyn Display, &dyn Display)) -> Option<Self> {
        let mut loader = Loader { mistake: &mistake, failed: false, seen: HashMap::new() };
        let projects: Vec<_> = settings.iter().map(|project| loader.project(project)).collect();
        let mut defaults = settings.iter().filter(|project| project.is_default);
        let default = defaults.next().map(|project| project.name.clone());
        if let Some(second) = defaults.next() {
            loader.report(
                &format_args!("projects.{}.default", second.name),
                &"only one project can be the default",
            );
        }
        (!loader.failed).then(|| Self::new(projects, default))
    }

    /// A project by its name; the default one where `name` is empty.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Project> {
        let name = if name.is_empty() { self.default.as_deref()? } else { name };
        self.projects.get(name)
    }

    /// All projects, by name.
    pub fn projects(&self) -> impl Iterator<Item = &Project> {
        self.projects.values()
    }

    /// The project and key of an access key, whatever the key may do.
    #[must_use]
    pub fn find(&self, access_key: &str) -> Option<(&Project, &Arc<SigningKey>)> {
        let project = self.projects.get(self.owners.get(access_key)?)?;
        let key = project.keys().find(|key| key.access_key() == access_key)?;
        Some((project, key))
    }
}

/// Loads keys and goes on after a mistake.
struct Loader<'a, F> {
    mistake: &'a F,
    failed: bool,
    /// Access key → the setting that it was first read for.
    seen: HashMap<String, String>,
}

impl<F: Fn(&dyn Display, &dyn Display)> Loader<'_, F> {
    fn report(&mut self, place: &dyn Display, what: &dyn Display) {
        self.failed = true;
        (self.mistake)(place, what);
    }

    fn project(&mut self, settings: &ProjectSettings) -> Project {
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
        Project::new(settings.name.clone(), settings.region, keys)
    }

    fn key(&mut self, path: &str, settings: &KeySettings) -> Option<SigningKey> {
        let access_key = self.read(&settings.access_key_file, Strictness::Public);
        let secret_key = self.read(&settings.secret_key_file, Strictness::Secret);
        let (access_key, secret_key) = (access_key?, secret_key?);
        if access_key == secret_key {
            self.report(
                &path,
                &"both files hold the same; the access key is no secret, so it must be another",
            );
            return None;
        }
        if let Some(first) = self.seen.insert(access_key.to_string(), path.to_owned()) {
            self.report(&path, &format_args!("has the same access key as {first}"));
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

/// How a key file is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Whatever holds a key: for access keys, and for the offline commands.
    Public,
    /// As `serve` does a secret key: closed to others, long enough.
    Secret,
}

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// Others may read or change it.
    #[error("is open to other users (mode {0:04o}): chmod 0440 it, or set the volume's defaultMode: 0440")]
    OpenToOthers(u32),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is longer than any key.
    #[error("is longer than {LONGEST_FILE} bytes: this is not a key")]
    TooLong,
    /// The key is too short to be safe.
    #[error("holds less than {SHORTEST_SECRET} bytes: a secret key must be longer")]
    TooShort,
    /// It is not text, or has white space around it or control characters in it.
    #[error("must hold the key alone, as UTF-8 text, with one newline at its end at most")]
    NotAKey,
}

/// Reads a key file; one newline at its end is dropped.
///
/// # Errors
/// Everything that is wrong with it, and nothing of what is in it.
pub fn read_key_file(path: &Path, strictness: Strictness) -> Result<Zeroizing<String>, Vec<KeyFileError>> {
    let (mode, content) = open_and_read(path).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    if strictness == Strictness::Secret && mode & 0o007 != 0 {
        errors.push(KeyFileError::OpenToOthers(mode));
    }
    match parse_key(&content, strictness) {
        Ok(key) if errors.is_empty() => return Ok(key),
        Ok(_) => {}
        Err(error) => errors.push(error),
    }
    Err(errors)
}

/// The mode and the content of one and the same file.
fn open_and_read(path: &Path) -> Result<(u32, Zeroizing<Vec<u8>>), KeyFileError> {
    // Asked before it is opened, because opening a pipe waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(KeyFileError::NotAFile);
    }
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    // Never grows, so that no unwiped copy is left behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST_FILE + 1));
    file.by_ref().take(LONGEST_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok((mode, content))
}

fn parse_key(content: &[u8], strictness: Strictness) -> Result<Zeroizing<String>, KeyFileError> {
    if content.len() > LONGEST_FILE {
        return Err(KeyFileError::TooLong);
    }
    let text = std::str::from_utf8(content).map_err(|_| KeyFileError::NotAKey)?;
    let key = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text);
    if key.is_empty() {
        return Err(KeyFileError::Empty);
    }
    if key.trim() != key || key.chars().any(char::is_control) {
        return Err(KeyFileError::NotAKey);
    }
    if strictness == Strictness::Secret && key.len() < SHORTEST_SECRET {
        return Err(KeyFileError::TooShort);
    }
    Ok(Zeroizing::new(key.to_owned()))
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
