//! A whole service in the test's own process: gRPC, admin and emulator on free ports of loopback,
//! a clock that stands still, and two projects.

pub(crate) mod ca;
pub(crate) mod canary;
pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod log;
pub(crate) mod page;
pub(crate) mod pipe;
pub(crate) mod place;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod resend;
pub(crate) mod scripted;
pub(crate) mod skipped;
pub(crate) mod upstream;

use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use inkpass::{
    assembly::{Components, Environment},
    audit::{self, Audit},
    caller::Callers,
    client::{self, Client},
    clock::{Clock, ManualClock, SystemClock, UnixMillis},
    emulator::{self, Emulator},
    entropy::{CountingEntropy, Entropy, SystemEntropy},
    idempotency::CAPACITY,
    keyring::{KeyState, Keyring, Project},
    policy::{Everyone, Rules},
    proto::{CreateRoomRequest, DynamicFormat, StartConversionRequest, start_conversion_request},
    region::Region,
    reload::Reload,
    server::{Error, Server, Timeouts},
    store,
    telemetry::Metrics,
    tls::Tls,
    token::{Fingerprinter, Role, SigningKey},
    watcher,
    whiteboard::Settings,
};
use prost::Message;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use self::upstream::Upstream;

/// 2026-09-21T14:13:20Z.
pub(crate) const NOW: u64 = 1_790_000_000_000;

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long a test waits for what must come: only one that hangs takes so long, and no machine is too busy for it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Watches that poll often and last long enough.
pub(crate) const WATCH: watcher::Settings =
    watcher::Settings { max_duration: Duration::from_mins(4), poll_interval: Duration::from_millis(5) };

/// A running service.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) upstream: Upstream,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Asks the server to stop.
    pub(crate) stop: oneshot::Sender<()>,
    /// The server's result.
    pub(crate) ended: JoinHandle<Result<(), Error>>,
}

/// A project `default` with a default region and a key in each state, and `other` with neither.
pub(crate) fn keyring() -> Keyring {
    let key = |access_key| Arc::new(key(access_key));
    let default = vec![
        (KeyState::Retiring, key("retiring-key")),
        (KeyState::Active, key("active-key")),
        (KeyState::VerifyOnly, key("verify-only-key")),
    ];
    let projects = vec![
        Project::new("default", Some(Region::UsSv), default),
        Project::new("other", None, vec![(KeyState::Active, key("other-key"))]),
    ];
    Keyring::new(projects, Some("default".to_owned()))
}

/// A key of [`keyring`].
pub(crate) fn key(access_key: &str) -> SigningKey {
    SigningKey::new(access_key, canary::secret_of(access_key).as_bytes()).unwrap()
}

/// The options of a world.
pub(crate) struct Setup {
    pub(crate) now: UnixMillis,
    pub(crate) rules: Rules,
    /// The audit trail; `None`: none.
    pub(crate) audit: Option<audit::Settings>,
    pub(crate) watch: watcher::Settings,
    pub(crate) emulator: emulator::Settings,
    pub(crate) switch_scene_role: Role,
    /// What else is set of the upstream.
    pub(crate) whiteboard: Option<Adjust>,
    pub(crate) keyring: fn() -> Keyring,
    pub(crate) timeouts: Timeouts,
    /// What replicas share; `None`: nothing.
    pub(crate) store: Option<store::Settings>,
    pub(crate) request_id_bytes: usize,
    /// TLS and authentication; `None`: neither.
    pub(crate) listener: Option<Listener>,
    /// The options of the world's own client; `None`: plaintext, without a credential.
    pub(crate) connect: Option<Connect>,
}

type Adjust = Box<dyn FnOnce(Settings) -> Settings + Send>;
type Connect = Box<dyn FnOnce(SocketAddr) -> client::Options + Send>;
type Listener =
    Box<dyn FnOnce(&Arc<ManualClock>, &Metrics) -> (Option<Arc<Tls>>, Option<Arc<Callers>>) + Send>;

impl Default for Setup {
    fn default() -> Self {
        Self {
            now: UnixMillis::new(NOW).unwrap(),
            rules: Rules::for_everyone(Everyone::Usual),
            audit: None,
            watch: WATCH,
            emulator: emulator::Settings::default(),
            switch_scene_role: Role::Writer,
            whiteboard: None,
            keyring,
            timeouts: Timeouts::default(),
            store: None,
            request_id_bytes: CAPACITY,
            listener: None,
            connect: None,
        }
    }
}

impl Setup {
    pub(crate) async fn start(self) -> World {
        let clock = Arc::new(ManualClock::new(self.now));
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let upstream = Upstream::new(listener.local_addr().unwrap());
        let keyring = (self.keyring)();
        let projects = keyring.projects().map(|project| emulator::Project {
            name: project.name().to_owned(),
            keys: project.keys().cloned().collect(),
        });
        let entropy = Arc::new(CountingEntropy::default());
        let emulator = Emulator::new(projects.collect(), clock.clone(), entropy, self.emulator.clone());
        tokio::spawn(async move { emulator.serve(listener, pending()).await });
        self.in_front_of(upstream, clock).await
    }

    /// A service with an upstream that the caller provides, running or not.
    pub(crate) async fn in_front_of(self, upstream: Upstream, clock: Arc<ManualClock>) -> World {
        log::look_through_logs();
        let settings = Settings {
            switch_scene_role: self.switch_scene_role,
            ..Settings::new(upstream.base_url().parse().unwrap())
        };
        // Those who share a store count from the same number.
        let entropy: Arc<dyn Entropy> = match self.store {
            Some(_) => Arc::new(SystemEntropy),
            None => Arc::new(CountingEntropy::default()),
        };
        let settings = self.whiteboard.map_or(settings.clone(), |adjust| adjust(settings));
        let environment = Environment { clock: clock.clone(), entropy };
        let open = Components::open((self.keyring)(), &settings, self.watch, environment).unwrap();
        let audit = self.audit.map(|settings| Audit::start(&settings, open.metrics.audit().clone()).unwrap());
        let (tls, callers) = match self.listener {
            Some(listener) => listener(&clock, &open.metrics),
            None => (None, None),
        };
        let mut files: Vec<Arc<dyn Reload>> = Vec::new();
        files.extend(tls.iter().map(|tls| tls.clone() as Arc<dyn Reload>));
        files.extend(callers.iter().flat_map(|callers| callers.reloads()));
        let components = Components {
            rules: Arc::new(ArcSwap::from_pointee(self.rules)),
            tls,
            callers,
            audit: audit.map(Arc::new),
            fingerprinter: Fingerprinter::new(b"salt"),
            files,
            timeouts: self.timeouts,
            store: self.store,
            request_id_bytes: self.request_id_bytes,
            ..open
        };
        let parts = components.assemble();

        let server = Server::bind(ANY_PORT, ANY_PORT).unwrap();
        let (grpc, admin) = server.addresses().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.run(parts, || ready.send(()).unwrap(), stopped).await
        });
        is_ready.await.unwrap();
        let client = match self.connect {
            Some(options) => Client::connect_with(options(grpc)).await.unwrap(),
            None => Client::connect(&format!("http://{grpc}")).await.unwrap(),
        };
        World { client, clock, upstream, grpc, admin, stop, ended }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) async fn with_rules(rules: Rules) -> Self {
        Setup { rules, ..Setup::default() }.start().await
    }

    /// With the system's clock, for other processes that use the emulator.
    pub(crate) async fn on_the_system_s_clock() -> Self {
        Setup { now: SystemClock.now(), ..Setup::default() }.start().await
    }

    /// The response of `/metrics`.
    /// A refused call with a deadline that its client does not keep by itself, as tonic's would.
    pub(crate) async fn refused_within(&self, timeout: &str, rpc: &str, request: &impl Message) -> Status {
        let http = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
        let length = u32::try_from(request.encoded_len()).unwrap().to_be_bytes();
        let answer = http
            .post(format!("http://{}/inkpass.v1.{rpc}", self.grpc))
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout)
            .body([&[0][..], &length, &request.encode_to_vec()].concat())
            .send();
        Status::from_header_map(answer.await.unwrap().headers()).unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        scrape(self.admin).await
    }

    /// A room in the default project and region.
    pub(crate) async fn room(&self) -> String {
        let request = CreateRoomRequest::default();
        self.client.rooms().create_room(request).await.unwrap().into_inner().room.unwrap().uuid
    }

    /// A conversion in the default project and region.
    pub(crate) async fn conversion(&self, resource: &str) -> String {
        let format = Some(start_conversion_request::Format::DynamicFormat(DynamicFormat::default()));
        let request = StartConversionRequest { resource: resource.to_owned(), format, ..Default::default() };
        let answer = self.client.conversions().start_conversion(request).await.unwrap();
        answer.into_inner().conversion.unwrap().uuid
    }
}

/// The response of `/metrics`.
pub(crate) async fn scrape(admin: SocketAddr) -> String {
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let answer = http.get(format!("http://{admin}/metrics")).send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    canary::look_through("the metrics", metrics.as_bytes());
    metrics
}

/// Waits for a condition, with a timeout.
pub(crate) async fn until(is_true: impl AsyncFn() -> bool) {
    let becomes = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, becomes).await.expect("it becomes true");
}

/// Checks the code, the reason, and the fields of all violations.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: Code, reason: &str, fields: &[&str]) {
    canary::look_through("a refusal", format!("{status:?}").as_bytes());
    let details = status.get_error_details();
    let info = details.error_info().expect("every refusal has an ErrorInfo");
    assert_eq!((status.code(), &*info.reason, &*info.domain), (code, reason, "inkpass"), "{status:?}");
    let violated: Vec<_> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect())
        .unwrap_or_default();
    assert_eq!(violated, fields, "{status:?}");
}
