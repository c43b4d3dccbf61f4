//! `inkpass serve`.

use std::{net::SocketAddr, sync::Arc};

use clap::Args;

use super::{Failure, args::ConfigArgs, output::print, signals::until_stopped};
use crate::{
    clock::SystemClock,
    config::{Config, Sources},
    entropy::SystemEntropy,
    issuer::Issuer,
    keyring::Keyring,
    policy::Policy,
    rpc::House,
    server::{Parts, Server},
    telemetry, watcher,
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
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let sources =
            Sources { listen: self.listen, admin_listen: self.admin_listen, ..self.config.sources() };
        let config = Config::load(&sources).map_err(Failure::Usage)?;
        let telemetry = telemetry::start(&config.telemetry, &sources.environment).map_err(Failure::Failed)?;
        let server = Server::bind(config.server.listen, config.admin_listen).await?;
        let upstream = (&config.whiteboard, config.watch);
        let parts = parts(config.keyring, Policy::DEFAULT, upstream, config.server.reflection)?;
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

/// Puts the service together, on the system's clock and randomness.
pub(super) fn parts(
    keyring: Keyring,
    policy: Policy,
    (whiteboard, watch): (&whiteboard::Settings, watcher::Settings),
    reflection: bool,
) -> Result<Parts, Failure> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let whiteboard = Whiteboard::new(whiteboard, clock.clone(), entropy.clone()).map_err(|error| {
        Failure::Failed(format!("cannot make an HTTP client: {error}; are CA roots installed?"))
    })?;
    let issuer = Issuer::new(keyring, policy, clock.clone(), entropy.clone());
    let house = House::new(issuer, whiteboard, watch, clock, entropy.clone());
    Ok(Parts { house, reflection, entropy })
}
