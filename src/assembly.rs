//! Assembles the service, for `serve`, `dev`, the offline commands and the tests alike.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::async_trait;

use crate::{
    audit::{Audit, ephemeral_fingerprinter},
    caller::Callers,
    clock::{Clock, SystemClock},
    config::{Config, known},
    creation::Creator,
    entropy::{Entropy, SystemEntropy},
    idempotency::{self, IdempotencyStore, InMemory, InStore},
    issuing::{Authorizer, Trail},
    keyring::{KeyFiles, Keyring, Probe, Project, Trial},
    methods::all_methods,
    policy::{Everyone, PolicyFile, Rules, SharedQuotas},
    region::Region,
    reload::Reload,
    rpc::Services,
    server::{Parts, Timeouts},
    stability::Stability,
    store::{self, Store},
    telemetry::{CallLog, Metrics, Sampling},
    tls::Tls,
    token::{Fingerprinter, SigningKey},
    watcher::{self, Watcher},
    whiteboard::{self, Access, Whiteboard},
};

/// The time and the randomness that a service runs on.
#[derive(Clone)]
pub struct Environment {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Environment {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}

/// All that a service is made of.
pub struct Components {
    /// Time and randomness.
    pub environment: Environment,
    /// The keys.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The files that the keys come from; `None`: they never change.
    pub key_files: Option<Arc<KeyFiles>>,
    /// The policy.
    pub rules: Arc<ArcSwap<Rules>>,
    /// The upstream.
    pub whiteboard: Whiteboard,
    /// How conversions are followed.
    pub watch: watcher::Settings,
    /// TLS of the gRPC listener; `None`: plaintext.
    pub tls: Option<Arc<Tls>>,
    /// Who may call; `None`: everyone.
    pub callers: Option<Arc<Callers>>,
    /// Where decisions are recorded; `None`: nowhere.
    pub audit: Option<Arc<Audit>>,
    /// Names tokens in the audit trail.
    pub fingerprinter: Fingerprinter,
    /// What replicas share; `None`: nothing.
    pub store: Option<store::Settings>,
    /// What is read again when its files change.
    pub files: Vec<Arc<dyn Reload>>,
    /// Whether the clock can be signed by.
    pub stability: Arc<Stability>,
    /// Owns every task that outlives its call.
    pub tasks: TaskTracker,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The lines of calls.
    pub call_log: Arc<CallLog>,
    /// Which calls are traced.
    pub sampling: Sampling,
    /// Whether reflection is served.
    pub reflection: bool,
    /// How long things may last.
    pub timeouts: Timeouts,
    /// The most connections from one IP address; 0: no limit.
    pub connections_per_peer: usize,
    /// How many bytes of the results of `request_id`s are kept.
    pub request_id_bytes: usize,
    /// Whether a replica that can only refuse is not ready.
    pub unready_when_refusing: bool,
}

impl Components {
    /// What settings describe. `everyone`: `--insecure-allow-all`.
    ///
    /// # Errors
    /// A sentence: no HTTP client can be made, or the audit trail cannot be opened.
    pub fn from_config(config: Config, everyone: bool, environment: Environment) -> Result<Self, String> {
        let open = Self::open(config.keyring, &config.whiteboard, config.watch, environment)?;
        let (clock, metrics) = (&open.environment.clock, &open.metrics);
        if everyone {
            metrics.set_insecure_allow_all();
            tracing::warn!(
                callers = config.identity.is_some(),
                policy = config.policy_file.is_some(),
                "--insecure-allow-all: what is not set is open to everyone; not for production"
            );
        }
        if config.audit.salt_file.is_none() {
            tracing::warn!(
                "audit.salt_file is not set: a token's fingerprint can be looked up in this process's lines only"
            );
        }
        let tls = config.server.tls.map(Arc::new);
        let callers = |identity| Arc::new(Callers::new(identity, clock.clone(), metrics));
        let callers = config.identity.map(callers);
        let rules = Arc::new(ArcSwap::from_pointee(config.rules));
        let projects = known(&config.projects);
        let policy = config.policy_file.map(|path| PolicyFile { rules: rules.clone(), path, projects });
        let probe = || Arc::new(ProbeByListing(open.whiteboard.clone())) as Arc<dyn Probe>;
        let probe = config.whiteboard.try_new_keys.then(probe);
        let (keyring, settings) = (open.keyring.clone(), config.projects.into());
        let key_files = Arc::new(KeyFiles { keyring, settings, probe });
        let audit = Audit::start(&config.audit, metrics.audit().clone())
            .map_err(|error| format!("audit.output: {} cannot be opened: {error}", config.audit.output))?;

        let mut files: Vec<Arc<dyn Reload>> = Vec::new();
        files.extend(tls.iter().map(|tls| tls.clone() as Arc<dyn Reload>));
        files.extend(callers.iter().flat_map(|callers| callers.reloads()));
        files.extend(policy.map(|file| Arc::new(file) as Arc<dyn Reload>));
        files.push(key_files.clone());
        Ok(Self {
            key_files: Some(key_files),
            rules,
            tls,
            callers,
            audit: Some(Arc::new(audit)),
            fingerprinter: config.fingerprinter,
            store: config.store,
            files,
            reflection: config.server.reflection,
            connections_per_peer: config.server.connections_per_peer,
            request_id_bytes: config.server.request_id_bytes,
            unready_when_refusing: config.server.unready_when_refusing,
            ..open
        })
    }

    /// Everyone may do everything. Nothing is recorded and nothing changes.
    ///
    /// # Errors
    /// A sentence: no HTTP client can be made.
    pub fn open(
        keyring: Keyring,
        whiteboard: &whiteboard::Settings,
        watch: watcher::Settings,
        environment: Environment,
    ) -> Result<Self, String> {
        let Environment { clock, entropy } = environment.clone();
        let metrics = Metrics::with_clock(all_methods(), clock.clone());
        let metrics = metrics.map_err(|error| format!("metrics: {error}"))?;
        let stability = Arc::new(Stability::new(clock));
        let (upstream, tasks) = (metrics.upstream().clone(), TaskTracker::new());
        let whiteboard =
            Whiteboard::new(whiteboard, stability.clone(), entropy.clone(), upstream, tasks.clone())
                .map_err(|error| format!("cannot make an HTTP client: {error}; are CA roots installed?"))?;
        Ok(Self {
            environment,
            keyring: Arc::new(ArcSwap::from_pointee(keyring)),
            key_files: None,
            rules: Arc::new(ArcSwap::from_pointee(Rules::for_everyone(Everyone::Permissive))),
            whiteboard,
            watch,
            tls: None,
            callers: None,
            audit: None,
            fingerprinter: ephemeral_fingerprinter(&*entropy),
            store: None,
            files: Vec::new(),
            stability,
            tasks,
            metrics: Arc::new(metrics),
            call_log: Arc::default(),
            sampling: Sampling::default(),
            reflection: true,
            timeouts: Timeouts::default(),
            connections_per_peer: 0,
            request_id_bytes: idempotency::CAPACITY,
            unready_when_refusing: false,
        })
    }

    /// Wires them.
    #[must_use]
    pub fn assemble(self) -> Parts {
        let Environment { clock, entropy } = self.environment;
        let (tasks, stopping) = (self.tasks, CancellationToken::new());
        let watcher = Watcher::new(
            self.whiteboard.clone(),
            self.keyring.clone(),
            entropy.clone(),
            self.watch,
            tasks.clone(),
            stopping.clone(),
        );
        let mut shared_quotas = None;
        let idempotency: Arc<dyn IdempotencyStore> = match self.store {
            None => Arc::new(InMemory::new(clock, tasks.clone(), self.request_id_bytes)),
            Some(settings) => {
                let metrics = self.metrics.store().clone();
                let store = Store::new(settings.address, metrics, tasks.clone(), stopping.clone());
                store.connect();
                let quotas = || SharedQuotas::new(store.clone(), tasks.clone(), stopping.clone());
                shared_quotas = settings.share_quotas.then(quotas);
                let sealer = self.fingerprinter.sealer("request_ids");
                let (entropy, tasks, stopping) = (entropy.clone(), tasks.clone(), stopping.clone());
                Arc::new(InStore::new(store, sealer, clock, entropy, tasks, stopping, self.request_id_bytes))
            }
        };
        let authorizer = Arc::new(Authorizer {
            keyring: self.keyring,
            rules: self.rules,
            shared_quotas,
            stability: self.stability.clone(),
            entropy: entropy.clone(),
            fingerprinter: self.fingerprinter,
            trail: Trail {
                audit: self.audit,
                stability: self.stability.clone(),
                metrics: Some(self.metrics.decisions().clone()),
            },
        });
        let creator = Creator::new(authorizer.clone(), self.whiteboard.clone(), idempotency, tasks.clone());
        let whiteboard = self.whiteboard;
        let services = Arc::new(Services { authorizer, creator, whiteboard, watcher, tasks, stopping });
        Parts {
            services,
            reflection: self.reflection,
            tls: self.tls,
            callers: self.callers,
            metrics: self.metrics,
            call_log: self.call_log,
            sampling: self.sampling,
            files: self.files,
            stability: self.stability,
            entropy,
            timeouts: self.timeouts,
            connections_per_peer: self.connections_per_peer,
            unready_when_refusing: self.unready_when_refusing,
        }
    }
}

/// Mints and verifies without a server, for a holder of the keys: any lifetime, nothing recorded.
#[must_use]
pub fn offline(keyring: Keyring, environment: Environment) -> Authorizer {
    let Environment { clock, entropy } = environment;
    let stability = Arc::new(Stability::new(clock));
    Authorizer {
        keyring: Arc::new(ArcSwap::from_pointee(keyring)),
        rules: Arc::new(ArcSwap::from_pointee(Rules::for_everyone(Everyone::Offline))),
        shared_quotas: None,
        stability: stability.clone(),
        fingerprinter: ephemeral_fingerprinter(&*entropy),
        entropy,
        trail: Trail { audit: None, stability, metrics: None },
    }
}

/// Asks whether a key is accepted by listing one room.
struct ProbeByListing(Whiteboard);

#[async_trait]
impl Probe for ProbeByListing {
    async fn accepts(&self, project: &Project, key: Arc<SigningKey>, region: Region) -> Trial {
        let access = Access::own(project.name().into(), key, region);
        match self.0.rooms(&access, None, 1).await {
            Ok(_) => Trial::Accepted,
            Err(whiteboard::Error::CredentialsRejected { .. }) => Trial::Rejected,
            Err(_) => Trial::Unknown,
        }
    }
}
