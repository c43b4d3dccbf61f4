//! One settings file, the environment and the flags, as one validated [`Config`].
//!
//! A `Config` exists only if everything in it is right: all mistakes are reported at once, by
//! place. Each file is read once, and what a service is made of is in the `Config`, so that it
//! cannot fail later. Secrets are never settings; they come from files.

mod decisions;
mod identity;
mod projects;
mod section;
mod setting;
mod sources;
mod store;
mod upstream;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

pub use self::{
    decisions::{PolicySettings, known, load_policy_settings},
    projects::load_keyring,
    sources::Sources,
};
use self::{
    identity::Listener,
    section::{Section, SettingsFile},
};
use crate::{
    audit,
    caller::{self, Identity},
    clock::SystemClock,
    document::{Digests, Mistake},
    idempotency,
    keyring::{Keyring, ProjectSettings},
    memory_limit::memory_limit,
    policy::Rules,
    telemetry,
    tls::Tls,
    token::Fingerprinter,
    watcher, whiteboard,
};

/// With fewer nobody could create with a `request_id`.
const FEWEST_REQUEST_ID_BYTES: usize = 64 * 1024;

/// Every setting of the service, validated, and what the files hold that they name.
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
    /// `[identity]`: who may call; `None`: everyone, which only `--insecure-allow-all` allows.
    pub identity: Option<Identity>,
    /// `policy.file`; `None`: everyone may do everything, which only `--insecure-allow-all` allows.
    pub policy_file: Option<PathBuf>,
    /// Its rules.
    pub rules: Rules,
    /// `[audit]`: where decisions are written.
    pub audit: audit::Settings,
    /// `[store]`: what replicas share; `None`: nothing.
    pub store: Option<crate::store::Settings>,
    /// Under the salt of `audit.salt_file`.
    pub fingerprinter: Fingerprinter,
    /// `[projects]`.
    pub projects: Vec<ProjectSettings>,
    /// The keys of the projects.
    pub keyring: Keyring,
    /// `[telemetry]`: the log and the traces.
    pub telemetry: telemetry::Settings,
    /// Of every value in the file.
    pub digests: Digests,
}

/// `[server]`.
#[derive(Debug)]
pub struct ServerSettings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Whether reflection is served.
    pub reflection: bool,
    /// `None`: plaintext.
    pub tls: Option<Tls>,
    /// The most connections from one IP address; 0: no limit, because a proxy is one address.
    pub connections_per_peer: usize,
    /// How many bytes of the results of `request_id`s are kept: 16 MiB, or a sixteenth of the kernel's limit on this
    /// process's memory where that is less.
    pub request_id_bytes: usize,
    /// Whether a replica that can only refuse is not ready.
    pub unready_when_refusing: bool,
}

impl Config {
    /// Reads and validates everything, also the files that settings name. Each file is read once.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let file = SettingsFile::read(sources)?;
        let config = file.root().and_then(|root| read(sources, root, &file));
        file.finish(config)
    }
}

/// Reads `[telemetry]` alone, and the digests of all that is in the file.
///
/// # Errors
/// The file is no TOML, or every mistake in the section; other sections are not looked at.
pub fn load_telemetry(sources: &Sources) -> Result<(telemetry::Settings, Digests), Vec<Mistake>> {
    let file = SettingsFile::read(sources)?;
    let read = file.root().and_then(|mut root| {
        let mut section = root.overlaid("telemetry");
        let settings = upstream::read_telemetry(&mut section, &sources.environment, &file);
        root.ignore_rest();
        Some((settings?, file.digests()))
    });
    file.finish(read)
}

/// Reads on after a mistake, so that all are found; `None` where something needed is missing.
fn read(sources: &Sources, mut root: Section<'_>, file: &SettingsFile) -> Option<Config> {
    let sections =
        ["server", "admin", "whiteboard", "watch", "identity", "policy", "audit", "store", "telemetry"];
    let [
        mut server,
        mut admin,
        mut whiteboard,
        mut watch,
        mut identity,
        mut policy,
        mut audit,
        mut store,
        mut telemetry,
    ] = root.all_overlaid(sections);
    let everyone = sources.insecure_allow_all;

    let listen = server.take("listen").unwrap_or(SocketAddr::from(([0, 0, 0, 0], 50051)));
    let listener = Listener {
        address: sources.listen.unwrap_or(listen),
        tls: identity::read_tls(&mut server, file),
        plaintext: server.take("plaintext").unwrap_or(false),
    };
    let reflection = server.take("reflection").unwrap_or(false);
    let connections_per_peer = server.take("connections_per_peer").unwrap_or(0);
    let request_id_bytes = read_request_id_bytes(&mut server, file);
    let unready_when_refusing = server.take("unready_when_refusing").unwrap_or(false);
    let admin_listen = admin.take("listen").unwrap_or(SocketAddr::from(([0, 0, 0, 0], 9464)));
    let telemetry = upstream::read_telemetry(&mut telemetry, &sources.environment, file);
    let propagates = telemetry.as_ref().is_some_and(|telemetry| telemetry.export.propagates());
    let whiteboard = upstream::read_whiteboard(&mut whiteboard, propagates, file);
    let watch = upstream::read_watch(&mut watch, whiteboard.as_ref(), file);

    let route = whiteboard.as_ref().map(|whiteboard| whiteboard.route.clone()).unwrap_or_default();
    let identity = caller::Settings { route, ..identity::read(&mut identity) };
    identity::check(&identity, &listener, everyone, file);
    upstream::check_proxy(&sources.environment, whiteboard.as_ref(), &identity.issuers, file);
    let is_open = !identity.takes_bearer() && !listener.asks_certificates();
    let of_issuers = identity.issuers.iter().flat_map(|issuer| [&issuer.ca_file, &issuer.jwks_token_file]);
    let named: Vec<PathBuf> = identity
        .api_keys_file
        .iter()
        .chain(of_issuers.flatten())
        .chain(
            listener
                .tls
                .iter()
                .flat_map(|tls| [&tls.cert_file, &tls.key_file].into_iter().chain(&tls.client_ca_file)),
        )
        .cloned()
        .chain(whiteboard.iter().filter_map(|whiteboard| Some(whiteboard.roots.as_ref()?.file().to_owned())))
        .collect();
    let tls = listener.tls.map(|settings| Tls::load(settings, Arc::new(SystemClock))).transpose();
    let tls = file.note(tls);
    let identity = file.note(identity.load());

    let (audit, fingerprinter) = decisions::read_audit(&mut audit, file);
    let store = store::read(&mut store);
    let projects = projects::read_projects(&mut root, file);
    if whiteboard.as_ref().is_some_and(|whiteboard| whiteboard.try_new_keys) {
        projects::need_regions(&projects, file);
    }
    let keyring = file.note(Keyring::load(&projects));
    let policy_file: Option<PathBuf> = policy.take("file");
    let keys = projects.iter().flat_map(|project| &project.keys);
    let keys = keys.flat_map(|key| [&key.access_key_file, &key.secret_key_file]);
    let named = named.iter().chain(keys).chain(&policy_file).chain(&audit.salt_file).chain(&sources.file);
    let named = named.chain(&store.url_file).chain(&store.ca_file);
    decisions::check_output(&audit.output, named.map(PathBuf::as_path), file);
    let store = file.note(store.load(audit.salt_file.is_some()));
    let rules = decisions::load_rules(policy_file.as_deref(), &projects, everyone, file);

    Some(Config {
        server: ServerSettings {
            listen: listener.address,
            reflection,
            tls: tls?,
            connections_per_peer,
            request_id_bytes,
            unready_when_refusing,
        },
        admin_listen: sources.admin_listen.unwrap_or(admin_listen),
        whiteboard: whiteboard?,
        watch,
        identity: Some(identity?).filter(|_| !is_open),
        policy_file,
        rules: rules?,
        audit,
        store: store?,
        fingerprinter: fingerprinter?,
        projects,
        keyring: keyring?,
        telemetry: telemetry?,
        digests: file.digests(),
    })
}

fn read_request_id_bytes(server: &mut Section<'_>, file: &SettingsFile) -> usize {
    let limit = memory_limit().and_then(|limit| usize::try_from(limit / 16).ok());
    let bytes =
        server.take("request_id_bytes").unwrap_or(idempotency::CAPACITY.min(limit.unwrap_or(usize::MAX)));
    if bytes < FEWEST_REQUEST_ID_BYTES {
        file.wrong("server.request_id_bytes", format_args!("must be at least {FEWEST_REQUEST_ID_BYTES}"));
    }
    bytes
}
