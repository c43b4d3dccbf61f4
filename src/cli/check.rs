//! `inkpass check`.

use std::fmt::Write;

use clap::Args;

use super::{args::ConfigArgs, failure::Failure, output::print};
use crate::{
    config::{Config, Sources},
    region::Region,
};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Validate them as for `serve --insecure-allow-all`
    #[arg(long)]
    insecure_allow_all: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let sources = Sources { insecure_allow_all: self.insecure_allow_all, ..self.config.sources() };
        let config = Config::load(&sources)?;
        let mut text = String::from("the settings and keys are right\n");
        for project in config.projects {
            let region = project.region.map_or("none", Region::as_str);
            let _ = writeln!(text, "project {}: default region {region}", project.name);
            for key in project.keys {
                // Not the access key: the two files may be swapped.
                let _ = writeln!(text, "  {} key of {}", key.state, key.access_key_file.display());
            }
        }
        print(&text)
    }
}
