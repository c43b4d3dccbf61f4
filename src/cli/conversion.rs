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
        PrioritizeConversionRequest, Priority, StartConversionRequest, StaticFormat, WatchConversionRequest,
        start_conversion_request,
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
