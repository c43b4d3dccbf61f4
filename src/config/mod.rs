//! One settings file, the environment and the flags, as one validated [`Config`].
//!
//! A `Config` exists only if everything in it is right: all mistakes are reported at once, by
//! name. Secrets are never settings; they come from files.

mod decisions;
mod identity;
mod projects;
mod section;
mod source;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

pub use self::{decisions::known, projects::load_projects, section::Mistakes};
use self::{
    identity::Listener,
    projects::read_projects,
    section::{Section, Setting},
    source::{overlay_environment, read_file},
};
use crate::{
    audit, caller,
    keyring::{Keyring, ProjectSettings},
    policy::Rules,
    telemetry::{self, LogFormat, LogLevel},
    tls::Tls,
    token::{Fingerprinter, Role},
    watcher, whiteboard,
};

/// Every setting of the service, validated, with the files that they name as they are now.
#[derive(Debug)]
pub struct Config {
    /// `[server]`: the gRPC listener.
    pub server: ServerSettings,
    /// `[admin]`: where `/livez` and `/readyz` are.
    pub admin_listen: SocketAddr,
    /// `[whiteboard]`: the upstream.
    pub whiteboard: whiteboard::Settings,
    /// `[watch]`: how conversions are followed.
    pub watch: watcher::Settings,
    /// `[identity]`: who may call.
    pub identity: caller::Settings,
    /// `policy.file`; `None`: everyone may do everything, which only `--insecure-allow-all` allows.
    pub policy_file: Option<PathBuf>,
    /// What it says, as it is now.
    pub rules: Rules,
    /// `[audit]`: where decisions are written.
    pub audit: audit::Settings,
    /// Under the salt of `audit.salt_file`.
    pub fingerprinter: Fingerprinter,
    /// `[projects]`.
    pub projects: Vec<ProjectSettings>,
    /// The keys of the projects, as they are now.
    pub keyring: Keyring,
    /// `[telemetry]`: the log and the traces.
    pub telemetry: telemetry::Settings,
}

/// `[server]`.
#[derive(Debug)]
pub struct ServerSettings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Whether reflection is served.
    pub reflection: bool,
    /// With its files read; `None`: plaintext.
    pub tls: Option<Tls>,
}

/// Where settings come from. Flags go before the environment, the environment before the file.
#[derive(Debug, Default)]
pub struct Sources {
    /// `--config` or `INKPASS_CONFIG`.
    pub file: Option<PathBuf>,
    /// The environment, as `std::env::vars_os` gives it.
    pub environment: Vec<(OsString, OsString)>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--insecure-allow-all`: what says who may call need not be set.
    pub insecure_allow_all: bool,
}

impl Config {
    /// Reads and validates everything, also the files that settings name.
    ///
    /// # Errors
    /// Every mistake, each as one line that names the setting or the file.
    pub fn load(sources: &Sources) -> Result<Self, Vec<String>> {
        let mistakes = Mistakes::default();
        let config = read(sources, &mistakes);
        let mistakes = mistakes.into_inner();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(mistakes),
        }
    }
}

impl Config {
    /// Whether anything says who may call; without it everyone may, which only
    /// `--insecure-allow-all` allows.
    #[must_use]
    pub fn knows_callers(&self) -> bool {
        let asks_certificates = self.server.tls.as_ref().is_some_and(Tls::asks_certificates);
        asks_certificates || self.identity.api_keys_file.is_some() || !self.identity.issuers.is_empty()
    }
}

/// Reads on after a mistake, so that all are found; `None` where something needed is missing.
fn read(sources: &Sources, mistakes: &Mistakes) -> Option<Config> {
    let table = read_file(sources, mistakes)?;
    let mut root = Section::new(String::new(), table, mistakes);
    let mut fixed = ["server", "admin", "whiteboard", "watch", "identity", "policy", "audit", "telemetry"]
        .map(|name| root.section(name));
    overlay_environment(&sources.environment, &mut fixed, mistakes);
    let [
        mut server,
        mut admin,
        mut whiteboard,
        mut watch,
        mut identity,
        mut policy,
        mut audit,
        mut telemetry,
    ] = fixed;

    let listen = server.take("listen").unwrap_or(SocketAddr::from(([0, 0, 0, 0], 50051)));
    let reflection = server.take("reflection").unwrap_or(false);
    let admin_listen = admin.take("listen").unwrap_or(SocketAddr::from(([0, 0, 0, 0], 9464)));
    let telemetry = read_telemetry(&mut telemetry, mistakes);
    let whiteboard = read_whiteboard(&mut whiteboard, mistakes);
    let watch = read_watch(&mut watch, whiteboard.as_ref(), mistakes);
    let identity = identity::read(&mut identity);
    let listener = Listener {
        address: sources.listen.unwrap_or(listen),
        tls: identity::read_tls(&mut server, mistakes),
        plaintext: server.take("plaintext").unwrap_or(false),
    };
    let tls = identity::load_tls(&listener, mistakes);
    identity::check(&identity, &listener, sources.insecure_allow_all, mistakes);
    let (audit, fingerprinter) = decisions::read_audit(&mut audit, mistakes);
    let projects = read_projects(&mut root, mistakes);
    if whiteboard.as_ref().is_some_and(|whiteboard| whiteboard.try_new_keys) {
        for project in projects.iter().filter(|project| project.region.is_none()) {
            let place = format_args!("projects.{}.region", project.name);
            mistakes.add(place, "is needed where whiteboard.try_new_keys is on: new keys are tried there");
        }
    }
    let keyring = Keyring::load(&projects, |path, what| mistakes.add(path, what));
    let policy_file = policy.take("file");
    let everyone = sources.insecure_allow_all;
    let rules = decisions::load_rules(policy_file.as_deref(), &projects, everyone, mistakes);

    Some(Config {
        server: ServerSettings { listen: listener.address, reflection, tls },
        admin_listen: sources.admin_listen.unwrap_or(admin_listen),
        whiteboard: whiteboard?,
        watch,
        identity,
        policy_file,
        rules: rules?,
        audit,
        fingerprinter: fingerprinter?,
        projects,
        keyring: keyring?,
        telemetry,
    })
}

/// Where the vendor serves the whiteboard API.
const VENDOR: &str = "https://api.netless.link";

fn read_whiteboard(section: &mut Section<'_>, mistakes: &Mistakes) -> Option<whiteboard::Settings> {
    let base_url = section.take("base_url").or_else(|| Url::parse(VENDOR).ok());
    let allow_plaintext = section.take("allow_plaintext").unwrap_or(false);
    let base_url = base_url?;
    if base_url.scheme() == "http" && !allow_plaintext && !caller::is_loopback(&base_url) {
        mistakes.add(
            "whiteboard.base_url",
            "http:// would send tokens in the clear; use https://, or set whiteboard.allow_plaintext = true",
        );
    }
    if base_url.query().is_some()
        || base_url.fragment().is_some()
        || !base_url.username().is_empty()
        || base_url.password().is_some()
    {
        mistakes.add("whiteboard.base_url", "must have no user, query or fragment");
    }
    let defaults = whiteboard::Settings::new(base_url);
    let switch_scene_role = section.take("switch_scene_role").unwrap_or(defaults.switch_scene_role);
    let try_new_keys = section.take("try_new_keys").unwrap_or(defaults.try_new_keys);
    Some(whiteboard::Settings { switch_scene_role, try_new_keys, ..defaults })
}

fn read_telemetry(section: &mut Section<'_>, mistakes: &Mistakes) -> telemetry::Settings {
    let endpoint: Option<Url> = section.take("otlp_endpoint");
    let sampling_ratio = section.take("sampling_ratio").unwrap_or(0.05);
    if !(0.0..=1.0).contains(&sampling_ratio) {
        mistakes.add("telemetry.sampling_ratio", "must be 0.0 to 1.0");
    }
    telemetry::Settings {
        log_format: section.take("log_format").unwrap_or(LogFormat::Json),
        log_level: section.take("log_level").unwrap_or(LogLevel::Info),
        otlp_endpoint: endpoint.map(Into::into),
        sampling_ratio,
    }
}

/// Polling faster than the vendor asks for is for an emulator, which plaintext tells.
fn read_watch(
    section: &mut Section<'_>,
    whiteboard: Option<&whiteboard::Settings>,
    mistakes: &Mistakes,
) -> watcher::Settings {
    let defaults = watcher::Settings::default();
    let max_duration = section.take("max_duration").unwrap_or(defaults.max_duration);
    let poll_interval = section.take("poll_interval").unwrap_or(defaults.poll_interval);
    let is_emulator = whiteboard.is_some_and(|whiteboard| whiteboard.base_url.scheme() == "http");
    if poll_interval.is_zero() || (poll_interval < defaults.poll_interval && !is_emulator) {
        mistakes
            .add("watch.poll_interval", "must be 3s or more; less is for an http:// base_url, an emulator");
    }
    if max_duration < Duration::from_secs(1) || max_duration > defaults.max_duration {
        mistakes
            .add("watch.max_duration", "must be 1s to 4m, so that a watch ends before its connection does");
    }
    watcher::Settings { max_duration, poll_interval }
}

/// The role of `whiteboard.switch_scene_role`.
impl Setting for Role {
    const EXPECTED: &'static str = "writer or admin";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|role| *role != Self::Reader)
    }
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "json or text";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for LogLevel {
    const EXPECTED: &'static str = "one of error, warn, info, debug, trace";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
