//! `inkpass conversion`.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Failure,
    args::{self, GrantArgs, ServerArgs, region_number},
};
use crate::{
    proto::{DynamicFormat, StartConversionRequest, StaticFormat, start_conversion_request},
    region::Region,
};

#[derive(Subcommand)]
pub(super) enum ConversionCommand {
    /// Start a conversion and, if asked, mint a Task token for it
    Start(Start),
}

#[derive(Args)]
pub(super) struct Start {
    /// The file's public URL
    resource: String,
    /// What to convert it to
    #[arg(long, value_enum)]
    format: Format,
    /// The data center; the project's default one if it is not given
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// Make previews of the pages (dynamic)
    #[arg(long)]
    preview: bool,
    /// Scale factor of the images, 0.1 to 3.0 (static)
    #[arg(long)]
    scale: Option<f64>,
    /// A UUID: the same id gives the same conversion within ten minutes
    #[arg(long, default_value = "", value_name = "UUID")]
    request_id: String,
    /// The project; the server's default one if it is not given
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    grant: GrantArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Images
    Static,
    /// Web pages
    Dynamic,
}

impl ConversionCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Start(start) => start.run().await,
        }
    }
}

impl Start {
    async fn run(self) -> Result<(), Failure> {
        let format = match self.format {
            Format::Static => start_conversion_request::Format::StaticFormat(StaticFormat {
                scale: self.scale,
                ..Default::default()
            }),
            Format::Dynamic if self.scale.is_some() => {
                return Err(Failure::Usage(vec!["--scale goes with --format static only".to_owned()]));
            }
            Format::Dynamic => start_conversion_request::Format::DynamicFormat(DynamicFormat::default()),
        };
        let request = StartConversionRequest {
            project: self.project,
            region: region_number(self.region),
            resource: self.resource,
            format: Some(format),
            preview: self.preview,
            token_grant: self.grant.to_proto()?,
            request_id: self.request_id,
            ..Default::default()
        };
        let answer = self.server.connect().await?.conversions().start_conversion(request).await?;
        self.server.output.get().print(answer.get_ref())
    }
}
