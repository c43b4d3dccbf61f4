//! `inkpass serve`.

use std::{net::SocketAddr, sync::Arc};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    announce,
    args::ConfigArgs,
    failure::Failure,
    output::print_in_background,
    signals::{Stop, until_terminated},
};
use crate::{
    assembly::{Components, Environment},
    audit::Audit,
    config::{Config, Sources},
    live_settings::LiveSettings,
    server::Server,
    telemetry::{self, Telemetry},
};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address of gRPC; takes precedence over server.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The address of /livez, /readyz and /metrics; takes precedence over admin.listen
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Allow unauthenticated callers if identity is not set, and everything if policy is not: for trials only
    #[arg(long)]
    insecure_allow_all: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        raise_descriptors();
        // Before the audit file exists, which may be rotated from then on.
        let hang_ups = signal(SignalKind::hangup())?;
        let everyone = self.insecure_allow_all;
        let sources = Sources {
            listen: self.listen,
            admin_listen: self.admin_listen,
            insecure_allow_all: everyone,
            ..self.config.sources()
        };
        let config = Config::load(&sources)?;
        let telemetry = telemetry::start(&config.telemetry).map_err(Failure::Failed)?;
        until_terminated(|stop| async move {
            announce::settings(&config);
            let live = LiveSettings::new(sources, config.digests.clone(), telemetry.log().clone());
            let result = serve(config, live, everyone, hang_ups, &telemetry, stop).await;
            telemetry.flush().await;
            result
        })
        .await
    }
}

async fn serve(
    config: Config,
    live: LiveSettings,
    everyone: bool,
    hang_ups: Signal,
    telemetry: &Telemetry,
    mut stop: Stop,
) -> Result<(), Failure> {
    let server = Server::bind(config.server.listen, config.admin_listen)?;
    let mut components = Components::from_config(config, everyone, Environment::system())?;
    components.sampling = telemetry.sampling().clone();
    components.call_log = telemetry.calls().clone();
    telemetry.observe(&components.metrics);
    components.files.push(Arc::new(live));
    announce::files(&components.files);
    let (keys, audit) = (components.key_files.clone(), components.audit.clone());
    let (grpc, admin) = server.addresses()?;
    let ready = move || {
        print_in_background(format!("grpc={grpc} admin={admin}\n"));
        tracing::info!(%grpc, %admin, "serving");
    };
    let serving = async {
        if let Some(keys) = keys {
            // The whiteboard API may not answer for long.
            tokio::select! {
                tried = keys.try_at_start() => tried.map_err(Failure::Usage)?,
                () = stop.next() => {
                    tracing::info!("stopped before it served");
                    return Ok(());
                }
            }
        }
        let parts = components.assemble();
        Ok(server.run(parts, ready, async { stop.next().await }).await?)
    };
    let result = tokio::select! {
        result = serving => result,
        failed = reopen_at_hang_up(hang_ups, audit.as_deref()) => failed,
    };
    if let Some(audit) = audit {
        match audit.close().await {
            Ok(()) => tracing::info!("the audit trail is closed, with all of its lines"),
            Err(error) => {
                tracing::error!(%error, "the audit trail was not closed in order; its last lines may be missing");
            }
        }
    }
    result
}

/// As many descriptors as this process may have, for its connections: a shell's usual limit is far lower.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Reopens the audit file at SIGHUP.
async fn reopen_at_hang_up(mut hang_ups: Signal, audit: Option<&Audit>) -> Result<(), Failure> {
    while hang_ups.recv().await.is_some() {
        if let Some(audit) = audit {
            audit.reopen();
        }
    }
    std::future::pending().await
}
