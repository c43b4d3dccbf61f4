//! `inkpass dev`: the service, its upstream and its keys, on this machine only.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use clap::Args;

use super::{
    emulator::{self, EphemeralKeys},
    failure::Failure,
    output::print,
    signals::until_stopped,
};
use crate::{
    assembly::{Components, Environment},
    emulator::Settings,
    server::Server,
    telemetry, watcher, whiteboard,
};

#[derive(Args)]
pub(super) struct Dev {
    /// The address of gRPC
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The address of /livez, /readyz and /metrics
    #[arg(long, default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    admin_listen: SocketAddr,
    /// The address of the embedded whiteboard API
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDRESS")]
    emulator_listen: SocketAddr,
}

impl Dev {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.refuse_other_machines()?;
        let environment: Vec<_> = std::env::vars_os().collect();
        let telemetry =
            telemetry::start(&telemetry::Settings::local(&environment)?).map_err(Failure::Failed)?;
        let keys = EphemeralKeys::new()?;
        let (emulator, listener) =
            emulator::start(&keys.keyring()?, self.emulator_listen, Settings::default()).await?;
        let upstream = listener.local_addr()?;
        let base_url = format!("http://{upstream}").parse();
        let base_url =
            base_url.map_err(|error| Failure::Failed(format!("the emulator's address: {error}")))?;

        let server = Server::bind(self.listen, self.admin_listen)?;
        let settings = whiteboard::Settings::new(base_url);
        let watch = watcher::Settings { poll_interval: Duration::from_millis(200), ..Default::default() };
        let mut components = Components::open(keys.keyring()?, &settings, watch, Environment::system())?;
        components.sampling = telemetry.sampling().clone();
        components.call_log = telemetry.calls().clone();
        telemetry.observe(&components.metrics);
        let parts = components.assemble();
        let (grpc, admin) = server.addresses()?;
        let ready = || {
            let _ = print(&format!(
                "grpc={grpc} admin={admin} emulator={upstream} keys={}\n",
                keys.path().display()
            ));
            // Standard error may be closed.
            let _ = io::stderr().write_all(guide(grpc, admin, upstream).as_bytes());
        };
        until_stopped(|mut stop| async move {
            let result = tokio::select! {
                result = server.run(parts, ready, async { stop.next().await }) => result.map_err(Failure::from),
                ended = emulator.serve(listener, std::future::pending()) => {
                    Err(Failure::Failed(format!("the emulator ended: {ended:?}")))
                }
            };
            telemetry.flush().await;
            result
        })
        .await
    }

    /// Every caller may do everything, so only this machine may connect.
    fn refuse_other_machines(&self) -> Result<(), Failure> {
        let flags = [
            ("--listen", self.listen),
            ("--admin-listen", self.admin_listen),
            ("--emulator-listen", self.emulator_listen),
        ];
        let reachable = flags.into_iter().filter(|(_, address)| !address.ip().is_loopback());
        let mistakes: Vec<_> = reachable
            .map(|(flag, _)| {
                format!("{flag}: dev allows everyone everything, so it must be a loopback address")
            })
            .collect();
        if mistakes.is_empty() { Ok(()) } else { Err(Failure::Usage(mistakes)) }
    }
}

/// What is running, and what to do with it.
fn guide(grpc: SocketAddr, admin: SocketAddr, emulator: SocketAddr) -> String {
    let program =
        std::env::args_os().next().map_or("inkpass".into(), |name| name.to_string_lossy().into_owned());
    let server = if grpc.port() == 50051 { String::new() } else { format!(" --server http://{grpc}") };
    format!(
        "
inkpass dev: everyone may mint anything, for a project of ephemeral keys
  gRPC            {grpc}
  admin           http://{admin}/readyz
  whiteboard API  http://{emulator} (embedded)

In another terminal:
  {program} token issue --kind room --uuid my-room --role writer --ttl 1h{server}
  {program} room create --region eu --grant-role writer{server}
  {program} conversion start https://example.com/slides.pptx --format dynamic --grant-role reader{server}

Ctrl-C ends it.
"
    )
}
