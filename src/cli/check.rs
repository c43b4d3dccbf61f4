//! `inkpass check`.

use std::fmt::Write;

use clap::Args;

use super::{Failure, args::ConfigArgs, output::print};
use crate::config::{Config, Sources};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Judge them as `serve --insecure-allow-all` does
    #[arg(long)]
    insecure_allow_all: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let sources = Sources { insecure_allow_all: self.insecure_allow_all, ..self.config.sources() };
        let config = Config::load(&sources).map_err(Failure::Usage)?;
        let mut text = String::from("the settings and keys are right\n");
        for project in config.keyring.projects() {
            let keys: Vec<_> = project.keys().map(|key| key.access_key()).collect();
            let region = project.region().map_or("none", |region| region.as_str());
            let _ = writeln!(
                text,
                "project {}: default region {region}, access keys {}",
                project.name(),
                keys.join(", ")
            );
        }
        print(&text)
    }
}
