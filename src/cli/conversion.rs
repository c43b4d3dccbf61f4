//! `inkpass conversion`.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Failure,
    args::{self, GrantArgs, ServerArgs, TargetArgs, region_number},
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
    Start(Start),
    /// Read a conversion
    Get(One),
    /// Follow a conversion to its end; exits with 1 if it fails
    Watch(One),
    /// List what waits and runs
    List(List),
    /// Cancel a conversion
    Cancel(One),
    /// Move a waiting conversion in its queue
    Prioritize {
        #[command(flatten)]
        one: One,
        /// Where to
        #[arg(long, value_enum)]
        priority: Place,
    },
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
    /// The images' format (static)
    #[arg(long, value_enum)]
    output_format: Option<Picture>,
    /// How much images are compressed, 0 to 4 (dynamic)
    #[arg(long, value_name = "LEVEL")]
    image_compression_level: Option<i32>,
    /// Build no stand-alone page (dynamic)
    #[arg(long)]
    no_spa: bool,
    /// What the vendor calls at the end
    #[arg(long, default_value = "", value_name = "URL")]
    webhook_endpoint: String,
    /// How often it tries that again, 0 to 10
    #[arg(long, value_name = "COUNT")]
    webhook_retry: Option<i32>,
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Picture {
    /// PNG
    Png,
    /// JPG
    Jpg,
    /// JPEG
    Jpeg,
}

#[derive(Args)]
pub(super) struct One {
    /// The conversion's uuid
    uuid: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Place {
    /// To the head
    Highest,
    /// To the tail
    Lowest,
}

#[derive(Args)]
pub(super) struct List {
    /// The data center; the project's default one if it is not given
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// The project; the server's default one if it is not given
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl ConversionCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Start(start) => start.run().await,
            Self::Get(one) => one.get().await,
            Self::Watch(one) => one.watch().await,
            Self::List(list) => list.run().await,
            Self::Cancel(one) => one.cancel().await,
            Self::Prioritize { one, priority } => one.prioritize(priority).await,
        }
    }
}

impl Start {
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
        let answer = self.server.connect().await?.conversions().start_conversion(request).await?;
        self.server.output.get().print(answer.get_ref())
    }
}

impl Start {
    /// What goes with the other format is a mistake, not a whim to be ignored.
    fn format(&self) -> Result<start_conversion_request::Format, Failure> {
        let strays = match self.format {
            Format::Static => [
                ("--image-compression-level", self.image_compression_level.is_some()),
                ("--no-spa", self.no_spa),
            ],
            Format::Dynamic => {
                [("--scale", self.scale.is_some()), ("--output-format", self.output_format.is_some())]
            }
        };
        let strays: Vec<_> = strays
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(flag, _)| format!("{flag} goes with the other --format only"))
            .collect();
        if !strays.is_empty() {
            return Err(Failure::Usage(strays));
        }
        Ok(match self.format {
            Format::Static => start_conversion_request::Format::StaticFormat(StaticFormat {
                scale: self.scale,
                output_format: self
                    .output_format
                    .map_or(OutputFormat::Unspecified, OutputFormat::from)
                    .into(),
            }),
            Format::Dynamic => start_conversion_request::Format::DynamicFormat(DynamicFormat {
                image_compression_level: self.image_compression_level,
                build_spa: self.no_spa.then_some(false),
            }),
        })
    }
}

impl From<Picture> for OutputFormat {
    fn from(picture: Picture) -> Self {
        match picture {
            Picture::Png => Self::Png,
            Picture::Jpg => Self::Jpg,
            Picture::Jpeg => Self::Jpeg,
        }
    }
}

impl One {
    async fn get(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = GetConversionRequest { project, access_key, region, uuid };
        let answer = server.connect().await?.conversions().get_conversion(request).await?;
        server.output.get().print(answer.get_ref())
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
        let answer = server.connect().await?.conversions().cancel_conversion(request).await?;
        server.output.get().print(answer.get_ref())
    }

    async fn prioritize(self, place: Place) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let priority = match place {
            Place::Highest => Priority::Highest.into(),
            Place::Lowest => Priority::Lowest.into(),
        };
        let request = PrioritizeConversionRequest { project, access_key, region, uuid, priority };
        let answer = server.connect().await?.conversions().prioritize_conversion(request).await?;
        server.output.get().print(answer.get_ref())
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let request =
            ListPendingConversionsRequest { project: self.project, region: region_number(self.region) };
        let answer = self.server.connect().await?.conversions().list_pending_conversions(request).await?;
        self.server.output.get().print(answer.get_ref())
    }
}
