//! `inkpass room`.

use clap::{Args, Subcommand};

use super::{
    Failure,
    args::{self, GrantArgs, ServerArgs, TargetArgs, region_number},
};
use crate::{
    proto::{CreateRoomRequest, DisableRoomRequest, EnableRoomRequest, GetRoomRequest, ListRoomsRequest},
    region::Region,
};

#[derive(Subcommand)]
pub(super) enum RoomCommand {
    /// Create a room and, if asked, mint a Room token for it
    Create(Create),
    /// Read a room
    Get(One),
    /// List a project's rooms
    List(List),
    /// Disable a room: everyone in it is thrown out
    Disable(One),
    /// Enable a disabled room again
    Enable(One),
}

#[derive(Args)]
pub(super) struct Create {
    /// The data center; the project's default one if it is not given
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// How many writers and admins may be in the room at once; 0 is no limit
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    limit: i32,
    /// A UUID: the same id gives the same room within ten minutes
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

#[derive(Args)]
pub(super) struct One {
    /// The room's uuid
    uuid: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct List {
    /// The data center; the project's default one if it is not given
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// How many rooms a page holds: 1 to 1000
    #[arg(long, default_value_t = 100, allow_negative_numbers = true)]
    page_size: i32,
    /// The `next_page_token` of the page before; without it, the first page
    #[arg(long, default_value = "")]
    page_token: String,
    /// The project; the server's default one if it is not given
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl RoomCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run().await,
            Self::Get(one) => one.get().await,
            Self::List(list) => list.run().await,
            Self::Disable(one) => one.disable().await,
            Self::Enable(one) => one.enable().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let request = CreateRoomRequest {
            project: self.project,
            region: region_number(self.region),
            limit: self.limit,
            token_grant: self.grant.to_proto()?,
            request_id: self.request_id,
        };
        let answer = self.server.connect().await?.rooms().create_room(request).await?;
        self.server.output.get().print(answer.get_ref())
    }
}

impl One {
    async fn get(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = GetRoomRequest { project, access_key, region, uuid };
        let answer = server.connect().await?.rooms().get_room(request).await?;
        server.output.get().print(answer.get_ref())
    }

    async fn disable(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = DisableRoomRequest { project, access_key, region, uuid };
        let answer = server.connect().await?.rooms().disable_room(request).await?;
        server.output.get().print(answer.get_ref())
    }

    async fn enable(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = EnableRoomRequest { project, access_key, region, uuid };
        let answer = server.connect().await?.rooms().enable_room(request).await?;
        server.output.get().print(answer.get_ref())
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let request = ListRoomsRequest {
            project: self.project,
            region: region_number(self.region),
            page_size: self.page_size,
            page_token: self.page_token,
        };
        let answer = self.server.connect().await?.rooms().list_rooms(request).await?;
        self.server.output.get().print(answer.get_ref())
    }
}
