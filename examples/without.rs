//! `inkpass serve` with a part left out, which no setting can do: `without PART --config FILE --listen ADDRESS
//! --admin-listen ADDRESS`. For `just bench-load`, which measures what each part costs.
//!
//! Parts: `audit`; `authentication`, and with it the policy and its quota, which know nobody then; `sampling`.

use std::{future::pending, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use clap::Parser;
use inkpass::{
    assembly::{Components, Environment},
    config::{Config, Sources},
    policy::{Everyone, Rules},
    server::Server,
    telemetry::{self, Sampling},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Audit,
    Authentication,
    Sampling,
}

#[derive(Parser)]
struct Arguments {
    part: Part,
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    listen: std::net::SocketAddr,
    #[arg(long)]
    admin_listen: std::net::SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { part, config, listen, admin_listen } = Arguments::parse();
    let sources = Sources {
        file: Some(config),
        listen: Some(listen),
        admin_listen: Some(admin_listen),
        ..Sources::default()
    };
    let config = Config::load(&sources).map_err(|mistakes| format!("{mistakes:?}"))?;
    let telemetry = telemetry::start(&config.telemetry)?;
    let server = Server::bind(config.server.listen, config.admin_listen)?;
    let mut components = Components::from_config(config, false, Environment::system())?;
    components.sampling = telemetry.sampling().clone();
    match part {
        Part::Audit => components.audit = None,
        Part::Authentication => {
            components.callers = None;
            components.rules = Arc::new(ArcSwap::from_pointee(Rules::for_everyone(Everyone::Permissive)));
        }
        Part::Sampling => components.sampling = Sampling::default(),
    }
    Ok(server.run(components.assemble(), || {}, pending()).await?)
}
