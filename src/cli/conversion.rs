//! `inkpass conversion`.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    args::{self, GrantArgs, ServerArgs, TargetArgs, region_number},
    failure::Failure,
    watch,
};
use crate::{
    proto::{
        CancelConversionRequest, DynamicFormat, GetConversionRequest, ListPendingConversionsRequest,
        OutputFormat, PrioritizeConversionRequest, Priority, StartConversionRequest, StaticFormat,
        WatchConversionRequest, start_conversion_request,
    },
    region::Region,
};

#[derive(Subcommand)]
pub(super) enum ConversionCommand {
    /// Start a conversion and, if asked, mint a Task token for it
    Start(StartConversionArgs),
    /// Get a conversion
    Get {
        #[command(flatten)]
        conversion: ConversionArgs,
        /// Add the task in JSON as the vendor's query writes it, for the vendor's client SDKs
        #[arg(long)]
        vendor_json: bool,
    },
    /// Watch a conversion to its end; exits with 1 if it fails
    Watch(ConversionArgs),
    /// List the conversions that wait or run
    List(ListConversionsArgs),
    /// Cancel a conversion
    Cancel(ConversionArgs),
    /// Move a waiting conversion to an end of its queue
    Prioritize {
        #[command(flatten)]
        conversion: ConversionArgs,
        /// The end of the queue
        #[arg(long, value_enum)]
        priority: QueueEnd,
    },
}

#[derive(Args)]
pub(super) struct StartConversionArgs {
    /// The file's public URL
    resource: String,
    /// What to convert it to
    #[arg(long, value_enum)]
    format: FormatArg,
    /// The data center; by default the project's
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// Create previews of the pages (dynamic)
    #[arg(long)]
    preview: bool,
    /// Scale factor of the images, 0.1 to 3.0 (static)
    #[arg(long)]
    scale: Option<f64>,
    /// The images' format (static)
    #[arg(long, value_enum)]
    output_format: Option<ImageFormat>,
    /// Image compression, 0 to 4 (dynamic)
    #[arg(long, value_name = "LEVEL")]
    image_compression_level: Option<i32>,
    /// Do not build a single-page application (dynamic)
    #[arg(long)]
    no_spa: bool,
    /// The URL that the vendor calls at the end
    #[arg(long, default_value = "", value_name = "URL")]
    webhook_endpoint: String,
    /// How often the vendor retries that call, 0 to 10
    #[arg(long, value_name = "COUNT")]
    webhook_retry: Option<i32>,
    /// The idempotency key, a UUID: a repeat within ten minutes gives the same conversion
    #[arg(long, default_value = "", value_name = "UUID")]
    request_id: String,
    /// The project; by default the server's
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    grant: GrantArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Images
    Static,
    /// Web pages
    Dynamic,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageFormat {
    /// PNG
    Png,
    /// JPG
    Jpg,
    /// JPEG
    Jpeg,
}

#[derive(Args)]
pub(super) struct ConversionArgs {
    /// The conversion's uuid
    uuid: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum QueueEnd {
    /// The head
    Highest,
    /// The tail
    Lowest,
}

#[derive(Args)]
pub(super) struct ListConversionsArgs {
    /// The data center; by default the project's
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// The project; by default the server's
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl ConversionCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Start(start) => start.run().await,
            Self::Get { conversion, vendor_json } => conversion.get(vendor_json).await,
            Self::Watch(conversion) => conversion.watch().await,
            Self::List(list) => list.run().await,
            Self::Cancel(conversion) => conversion.cancel().await,
            Self::Prioritize { conversion, priority } => conversion.prioritize(priority).await,
        }
    }
}

impl StartConversionArgs {
    async fn run(self) -> Result<(), Failure> {
        let format = self.format()?;
        let request = StartConversionRequest {
            project: self.project,
            region: region_number(self.region),
            resource: self.resource,
            format: Some(format),
            preview: self.preview,
            webhook_endpoint: self.webhook_endpoint,
            webhook_retry: self.webhook_retry,
            token_grant: self.grant.to_proto()?,
            request_id: self.request_id,
        };
        self.server.print(async |client| client.conversions().start_conversion(request).await).await
    }

    /// A flag of the other format is an error, and not ignored.
    fn format(&self) -> Result<start_conversion_request::Format, Failure> {
        let misplaced = match self.format {
            FormatArg::Static => [
                ("--image-compression-level", self.image_compression_level.is_some()),
                ("--no-spa", self.no_spa),
            ],
            FormatArg::Dynamic => {
                [("--scale", self.scale.is_some()), ("--output-format", self.output_format.is_some())]
            }
        };
        let misplaced: Vec<_> = misplaced
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(flag, _)| format!("{flag} is for the other --format only"))
            .collect();
        if !misplaced.is_empty() {
            return Err(Failure::Usage(misplaced));
        }
        Ok(match self.format {
            FormatArg::Static => start_conversion_request::Format::StaticFormat(StaticFormat {
                scale: self.scale,
                output_format: self
                    .output_format
                    .map_or(OutputFormat::Unspecified, OutputFormat::from)
                    .into(),
            }),
            FormatArg::Dynamic => start_conversion_request::Format::DynamicFormat(DynamicFormat {
                image_compression_level: self.image_compression_level,
                build_spa: self.no_spa.then_some(false),
            }),
        })
    }
}

impl From<ImageFormat> for OutputFormat {
    fn from(format: ImageFormat) -> Self {
        match format {
            ImageFormat::Png => Self::Png,
            ImageFormat::Jpg => Self::Jpg,
            ImageFormat::Jpeg => Self::Jpeg,
        }
    }
}

impl ConversionArgs {
    async fn get(self, include_vendor_json: bool) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = GetConversionRequest { project, access_key, region, uuid, include_vendor_json };
        server.print(async |client| client.conversions().get_conversion(request).await).await
    }

    async fn watch(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = WatchConversionRequest { project, access_key, region, uuid };
        watch::show(server.connect().await?.watch_conversion(request), server.output.get()).await
    }

    async fn cancel(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = CancelConversionRequest { project, access_key, region, uuid };
        server.print(async |client| client.conversions().cancel_conversion(request).await).await
    }

    async fn prioritize(self, end: QueueEnd) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let priority = match end {
            QueueEnd::Highest => Priority::Highest.into(),
            QueueEnd::Lowest => Priority::Lowest.into(),
        };
        let request = PrioritizeConversionRequest { project, access_key, region, uuid, priority };
        server.print(async |client| client.conversions().prioritize_conversion(request).await).await
    }
}

impl ListConversionsArgs {
    async fn run(self) -> Result<(), Failure> {
        let request =
            ListPendingConversionsRequest { project: self.project, region: region_number(self.region) };
        self.server.print(async |client| client.conversions().list_pending_conversions(request).await).await
    }
}
