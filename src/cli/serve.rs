//! `inkpass serve`.

use std::{net::SocketAddr, sync::Arc};

use clap::Args;

use super::{Failure, args::ConfigArgs, output::print, signals::until_stopped};
use crate::{
    caller::Callers,
    clock::SystemClock,
    config::{Config, Sources},
    entropy::SystemEntropy,
    issuer::Issuer,
    keyring::Keyring,
    policy::Policy,
    rpc::{self, House},
    server::{Parts, Server},
    telemetry::{self, Metrics},
    tls::Tls,
    watcher,
    whiteboard::{self, Whiteboard},
};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where gRPC is served; goes before server.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where /livez and /readyz are served; goes before admin.listen
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Let everyone in where the settings do not say who may call: for trials only
    #[arg(long)]
    insecure_allow_all: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let sources = Sources {
            listen: self.listen,
            admin_listen: self.admin_listen,
            insecure_allow_all: self.insecure_allow_all,
            ..self.config.sources()
        };
        let config = Config::load(&sources).map_err(Failure::Usage)?;
        let telemetry = telemetry::start(&config.telemetry, &sources.environment).map_err(Failure::Failed)?;
        let server = Server::bind(config.server.listen, config.admin_listen).await?;
        let metrics = metrics()?;
        let door = Door::open(&config, metrics.clone(), self.insecure_allow_all)?;
        let upstream = (&config.whiteboard, config.watch);
        let parts = parts(config.keyring, Policy::DEFAULT, upstream, door, config.server.reflection)?;
        let (grpc, admin) = server.addresses()?;
        let ready = move || {
            let _ = print(&format!("grpc={grpc} admin={admin}\n"));
            tracing::info!(%grpc, %admin, "serving");
        };
        let until_end = until_stopped(|mut stop| async move {
            server.run(parts, ready, async { stop.next().await }).await.map_err(Failure::from)
        });
        let result = until_end.await;
        telemetry.flush().await;
        result
    }
}

/// How callers come in, and how they are counted.
pub(super) struct Door {
    pub(super) tls: Option<Arc<Tls>>,
    /// `None`: everyone is let in.
    pub(super) callers: Option<Arc<Callers>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Door {
    fn open(config: &Config, metrics: Arc<Metrics>, insecure_allow_all: bool) -> Result<Self, Failure> {
        let tls = config.server.tls.clone().map(Tls::load).transpose().map_err(Failure::Usage)?;
        let knows_callers = config.knows_callers();
        if insecure_allow_all {
            metrics.set_insecure_allow_all();
            tracing::warn!(everyone = !knows_callers, "--insecure-allow-all: not for production");
        }
        let callers = || Callers::new(&config.identity, Arc::new(SystemClock), &metrics);
        let callers = knows_callers.then(callers).transpose().map_err(Failure::Usage)?;
        Ok(Self { tls: tls.map(Arc::new), callers: callers.map(Arc::new), metrics })
    }
}

pub(super) fn metrics() -> Result<Arc<Metrics>, Failure> {
    let metrics = Metrics::new(&rpc::METHODS);
    metrics.map(Arc::new).map_err(|error| Failure::Failed(format!("metrics: {error}")))
}

/// Puts the service together, on the system's clock and randomness.
pub(super) fn parts(
    keyring: Keyring,
    policy: Policy,
    (whiteboard, watch): (&whiteboard::Settings, watcher::Settings),
    Door { tls, callers, metrics }: Door,
    reflection: bool,
) -> Result<Parts, Failure> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let whiteboard = Whiteboard::new(whiteboard, clock.clone(), entropy.clone()).map_err(|error| {
        Failure::Failed(format!("cannot make an HTTP client: {error}; are CA roots installed?"))
    })?;
    let issuer = Issuer::new(keyring, policy, clock.clone(), entropy.clone());
    let house = House::new(issuer, whiteboard, watch, clock, entropy.clone());
    Ok(Parts { house, reflection, tls, callers, metrics, entropy })
}
