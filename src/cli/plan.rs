//! Puts the service together, on the system's clock and randomness.

use std::sync::Arc;

use tonic::async_trait;

use super::Failure;
use crate::{
    audit::{Audit, throw_away_fingerprinter},
    caller::Callers,
    clock::SystemClock,
    config::{Config, known},
    entropy::SystemEntropy,
    issuer::Issuer,
    keyring::{Keyring, LiveKeyring, Probe, Trial},
    methods::all_methods,
    policy::{Everyone, LiveRules, PolicyFile, Rules},
    region::Region,
    reload::Reload,
    rpc::{Desk, House},
    server::Parts,
    stability::Stability,
    telemetry::Metrics,
    tls::Tls,
    token::{Fingerprinter, SigningKey},
    watcher,
    whiteboard::{self, Access, Whiteboard},
};

/// Everything that a service is made of.
pub(super) struct Plan {
    pub(super) keyring: Arc<LiveKeyring>,
    pub(super) rules: Arc<LiveRules>,
    pub(super) whiteboard: Whiteboard,
    pub(super) watch: watcher::Settings,
    pub(super) tls: Option<Arc<Tls>>,
    /// `None`: everyone is let in.
    pub(super) callers: Option<Arc<Callers>>,
    pub(super) audit: Option<Arc<Audit>>,
    pub(super) fingerprinter: Fingerprinter,
    pub(super) files: Vec<Arc<dyn Reload>>,
    pub(super) stability: Arc<Stability>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reflection: bool,
}

impl Plan {
    /// `everyone`: `--insecure-allow-all`.
    pub(super) fn of_settings(config: Config, everyone: bool) -> Result<Self, Failure> {
        let metrics = Metrics::new(all_methods());
        let metrics = metrics.map_err(|error| Failure::Failed(format!("metrics: {error}")))?;
        if everyone {
            metrics.set_insecure_allow_all();
            tracing::warn!(
                callers = config.identity.is_some(),
                policy = config.policy_file.is_some(),
                "--insecure-allow-all: what is not set is open to everyone; not for production"
            );
        }
        let stability = Arc::new(Stability::new(Arc::new(SystemClock)));
        let whiteboard = connect(&config.whiteboard, &stability, &metrics)?;
        let mut files: Vec<Arc<dyn Reload>> = Vec::new();

        let tls = config.server.tls.map(Arc::new);
        files.extend(tls.iter().map(|tls| tls.clone() as Arc<dyn Reload>));
        let callers = |identity| Arc::new(Callers::new(identity, Arc::new(SystemClock), &metrics));
        let callers = config.identity.map(callers);
        files.extend(callers.iter().flat_map(|callers| callers.reloads()));

        let projects = known(&config.projects);
        let rules = Arc::new(LiveRules::new(config.rules));
        let policy_file = |path| PolicyFile { rules: rules.clone(), path, projects };
        files.extend(config.policy_file.map(policy_file).map(|file| Arc::new(file) as Arc<dyn Reload>));

        let probe = || Arc::new(ByListing(whiteboard.clone())) as Arc<dyn Probe>;
        let probe = config.whiteboard.try_new_keys.then(probe);
        let keyring = Arc::new(LiveKeyring::new(config.keyring, config.projects, probe));
        files.push(keyring.clone());

        let audit = Audit::start(&config.audit, metrics.audit().clone()).map_err(|error| {
            Failure::Failed(format!("audit.output: {} cannot be opened: {error}", config.audit.output))
        })?;
        if config.audit.salt_file.is_none() {
            tracing::warn!(
                "audit.salt_file is not set: a token's fingerprint can be looked up in this process's lines only"
            );
        }
        Ok(Self {
            keyring,
            rules,
            whiteboard,
            watch: config.watch,
            tls,
            callers,
            audit: Some(Arc::new(audit)),
            fingerprinter: config.fingerprinter,
            files,
            stability,
            metrics: Arc::new(metrics),
            reflection: config.server.reflection,
        })
    }

    /// Everyone may do everything; nothing is written down and nothing changes.
    pub(super) fn open(
        keyring: Keyring,
        whiteboard: &whiteboard::Settings,
        watch: watcher::Settings,
    ) -> Result<Self, Failure> {
        let metrics = Metrics::new(all_methods());
        let metrics = metrics.map_err(|error| Failure::Failed(format!("metrics: {error}")))?;
        let stability = Arc::new(Stability::new(Arc::new(SystemClock)));
        Ok(Self {
            keyring: Arc::new(LiveKeyring::fixed(keyring)),
            rules: Arc::new(LiveRules::new(Rules::for_everyone(Everyone::Permissive))),
            whiteboard: connect(whiteboard, &stability, &metrics)?,
            watch,
            tls: None,
            callers: None,
            audit: None,
            fingerprinter: throw_away_fingerprinter(&SystemEntropy),
            files: Vec::new(),
            stability,
            metrics: Arc::new(metrics),
            reflection: true,
        })
    }

    pub(super) fn into_parts(self) -> Parts {
        let entropy = Arc::new(SystemEntropy);
        let (stability, fingerprinter) = (self.stability.clone(), self.fingerprinter);
        let issuer = Issuer::new(self.keyring, self.rules, stability, entropy.clone(), fingerprinter);
        let desk = Desk { issuer: Arc::new(issuer), audit: self.audit };
        let house = House::new(desk, self.whiteboard, self.watch, Arc::new(SystemClock), entropy.clone());
        Parts {
            house,
            reflection: self.reflection,
            tls: self.tls,
            callers: self.callers,
            metrics: self.metrics,
            files: self.files,
            stability: self.stability,
            entropy,
        }
    }
}

fn connect(
    settings: &whiteboard::Settings,
    stability: &Arc<Stability>,
    metrics: &Metrics,
) -> Result<Whiteboard, Failure> {
    let skew = metrics.upstream_clock_skew();
    Whiteboard::new(settings, stability.clone(), Arc::new(SystemEntropy), skew).map_err(|error| {
        Failure::Failed(format!("cannot make an HTTP client: {error}; are CA roots installed?"))
    })
}

/// Whether a key is accepted is asked by listing one room.
struct ByListing(Whiteboard);

#[async_trait]
impl Probe for ByListing {
    async fn accepts(&self, key: Arc<SigningKey>, region: Region) -> Trial {
        match self.0.rooms(&Access { key, region }, None, 1).await {
            Ok(_) => Trial::Accepted,
            Err(whiteboard::Error::CredentialsRejected { .. }) => Trial::Rejected,
            Err(_) => Trial::Unknown,
        }
    }
}
