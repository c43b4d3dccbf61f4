//! `inkpass room`.

use clap::{Args, Subcommand};

use super::{
    Failure,
    args::{self, GrantArgs, ServerArgs, region_number},
};
use crate::{proto::CreateRoomRequest, region::Region};

#[derive(Subcommand)]
pub(super) enum RoomCommand {
    /// Create a room and, if asked, mint a Room token for it
    Create(Create),
}

#[derive(Args)]
pub(super) struct Create {
    /// The data center; the project's default one if it is not given
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// How many writers and admins may be in the room at once; 0 is no limit
    #[arg(long, default_value_t = 0)]
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

impl RoomCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run().await,
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
