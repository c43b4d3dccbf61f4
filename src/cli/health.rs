//! `inkpass health`.

use clap::Args;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    args::ServerArgs,
    failure::Failure,
    output::{PrintFormat, print},
};

#[derive(Args)]
pub(super) struct HealthCommand {
    /// The full name of a service; by default the whole server
    #[arg(long, default_value = "")]
    service: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl HealthCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let channel = self.server.connect().await?.channel();
        let request = HealthCheckRequest { service: self.service };
        let status = HealthClient::new(channel).check(request).await?.into_inner().status();
        print(&match self.server.output.get() {
            PrintFormat::Json => format!("{:#}\n", serde_json::json!({ "status": status.as_str_name() })),
            PrintFormat::Text => format!("{}\n", status.as_str_name()),
        })?;
        if status == ServingStatus::Serving { Ok(()) } else { Err(Failure::No) }
    }
}
