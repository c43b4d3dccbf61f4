//! `inkpass check`.

use std::fmt::Write;

use clap::Args;

use super::{Failure, args::ConfigArgs, output::print};
use crate::{
    config::{Config, Sources},
    region::Region,
};

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
        let config = Config::load(&sources)?;
        let mut text = String::from("the settings and keys are right\n");
        for project in config.projects {
            let region = project.region.map_or("none", Region::as_str);
            let _ = writeln!(text, "project {}: default region {region}", project.name);
            for key in project.keys {
                // Not what is in it: an operator may have mistaken one file for the other.
                let _ = writeln!(text, "  {} key of {}", key.state, key.access_key_file.display());
            }
        }
        print(&text)
    }
}
