//! `inkpass room`.

use clap::{Args, Subcommand};

use super::{
    args::{self, GrantArgs, ServerArgs, TargetArgs, region_number},
    failure::Failure,
};
use crate::{
    proto::{CreateRoomRequest, DisableRoomRequest, EnableRoomRequest, GetRoomRequest, ListRoomsRequest},
    region::Region,
};

#[derive(Subcommand)]
pub(super) enum RoomCommand {
    /// Create a room and, if asked, mint a Room token for it
    Create(CreateRoomArgs),
    /// Get a room
    Get(RoomArgs),
    /// List a project's rooms
    List(ListRoomsArgs),
    /// Disable a room: everyone in it is disconnected
    Disable(RoomArgs),
    /// Enable a disabled room
    Enable(RoomArgs),
}

#[derive(Args)]
pub(super) struct CreateRoomArgs {
    /// The data center; by default the project's
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// How many writers and admins may be in the room at once; 0 is no limit
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    limit: i32,
    /// Record the room, where the vendor supports it
    #[arg(long)]
    recording: bool,
    /// The idempotency key, a UUID: a repeat within ten minutes gives the same room
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

#[derive(Args)]
pub(super) struct RoomArgs {
    /// The room's uuid
    uuid: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct ListRoomsArgs {
    /// The data center; by default the project's
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// The number of rooms a page, 1 to 1000
    #[arg(long, default_value_t = 100, allow_negative_numbers = true)]
    page_size: i32,
    /// The `next_page_token` of the previous page; by default the first page
    #[arg(long, default_value = "")]
    page_token: String,
    /// The project; by default the server's
    #[arg(long, default_value = "")]
    project: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl RoomCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run().await,
            Self::Get(room) => room.get().await,
            Self::List(list) => list.run().await,
            Self::Disable(room) => room.disable().await,
            Self::Enable(room) => room.enable().await,
        }
    }
}

impl CreateRoomArgs {
    async fn run(self) -> Result<(), Failure> {
        let request = CreateRoomRequest {
            project: self.project,
            region: region_number(self.region),
            limit: self.limit,
            token_grant: self.grant.to_proto()?,
            request_id: self.request_id,
            recording: self.recording,
        };
        self.server.print(async |client| client.rooms().create_room(request).await).await
    }
}

impl RoomArgs {
    async fn get(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = GetRoomRequest { project, access_key, region, uuid };
        server.print(async |client| client.rooms().get_room(request).await).await
    }

    async fn disable(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = DisableRoomRequest { project, access_key, region, uuid };
        server.print(async |client| client.rooms().disable_room(request).await).await
    }

    async fn enable(self) -> Result<(), Failure> {
        let Self { uuid, target, server } = self;
        let (project, access_key, region) = target.into_parts();
        let request = EnableRoomRequest { project, access_key, region, uuid };
        server.print(async |client| client.rooms().enable_room(request).await).await
    }
}

impl ListRoomsArgs {
    async fn run(self) -> Result<(), Failure> {
        let request = ListRoomsRequest {
            project: self.project,
            region: region_number(self.region),
            page_size: self.page_size,
            page_token: self.page_token,
        };
        self.server.print(async |client| client.rooms().list_rooms(request).await).await
    }
}
