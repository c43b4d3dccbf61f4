//! `RoomService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{
    Services,
    pages::{self, List},
    parse::{self, Violations},
    services::{Opened, digest_of, nothing_more},
};
use crate::{
    call::CallContext,
    creation::{Create, CreateParams, Created},
    error::Error,
    issuing::Made,
    methods::Rpc,
    proto::{
        self, CreateRoomRequest, CreateRoomResponse, DisableRoomRequest, DisableRoomResponse,
        EnableRoomRequest, EnableRoomResponse, GetRoomRequest, GetRoomResponse, ListRoomsRequest,
        ListRoomsResponse, room_service_server::RoomService,
    },
    region::Region,
    token::{Kind, Scope, Uuid},
    whiteboard::{self, Access, Room, Whiteboard},
};

pub(super) struct Rooms(pub(super) Arc<Services>);

#[async_trait]
impl RoomService for Rooms {
    async fn create_room(
        &self,
        request: Request<CreateRoomRequest>,
    ) -> Result<Response<CreateRoomResponse>, Status> {
        let call = CallContext::of(&request).clone();
        let (params, room) = parse_create(request.into_inner())?;
        let Created { made, token, replayed } = self.0.creator.create(call, params, room).await?;
        Ok(Response::new(CreateRoomResponse { room: Some(made), token, replayed }))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        let rpc = Rpc::GetRoom;
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, nothing_more).await?;
        let room = self.0.whiteboard.room(&access, uuid).await.map_err(Error::upstream(rpc))?;
        Ok(Response::new(GetRoomResponse { room: Some(describe(room, access.region)) }))
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let ListRoomsRequest { project, region, page_size, page_token } = request.get_ref();
        let mut violations = Violations::default();
        let region = parse::region(*region, &mut violations);
        let size = pages::size(*page_size, &mut violations);
        let (region, size) = violations.unless_any(region.zip(size))?;
        let permit = self.0.open_project(Rpc::ListRooms, &request, project, region).await?;
        let region = permit.access.region;
        let list = List { project: permit.project.name(), region };
        let after = list.open(page_token)?;
        let page = list.page(&self.0.whiteboard, &permit.access, after.as_deref(), size).await;
        let (rooms, next_page_token) = page.map_err(|error| match error {
            whiteboard::Error::NotFound => pages::foreign_token(),
            error => Error::upstream(Rpc::ListRooms)(error),
        })?;
        let rooms = rooms.into_iter().map(|room| describe(room, region)).collect();
        Ok(Response::new(ListRoomsResponse { rooms, next_page_token }))
    }

    async fn disable_room(
        &self,
        request: Request<DisableRoomRequest>,
    ) -> Result<Response<DisableRoomResponse>, Status> {
        let rpc = Rpc::DisableRoom;
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, nothing_more).await?;
        let room = self.0.whiteboard.set_room_disabled(&access, uuid, true).await;
        let room = describe(room.map_err(Error::upstream(rpc))?, access.region);
        Ok(Response::new(DisableRoomResponse { room: Some(room) }))
    }

    async fn enable_room(
        &self,
        request: Request<EnableRoomRequest>,
    ) -> Result<Response<EnableRoomResponse>, Status> {
        let rpc = Rpc::EnableRoom;
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, nothing_more).await?;
        let room = self.0.whiteboard.set_room_disabled(&access, uuid, false).await;
        let room = describe(room.map_err(Error::upstream(rpc))?, access.region);
        Ok(Response::new(EnableRoomResponse { room: Some(room) }))
    }
}

/// A room to create.
#[derive(Clone)]
struct NewRoom {
    limit: i32,
    recording: bool,
}

impl Create for NewRoom {
    const RPC: Rpc = Rpc::CreateRoom;

    type Created = proto::Room;

    fn scope(uuid: Uuid<'_>) -> Scope<'_> {
        Scope::Room(uuid)
    }

    async fn send(self, whiteboard: &Whiteboard, access: &Access) -> Result<proto::Room, whiteboard::Error> {
        let room = whiteboard.create_room(access, self.limit, self.recording).await?;
        let access_key = access.key.access_key().to_owned();
        Ok(proto::Room { access_key, ..describe(room, access.region) })
    }
}

impl Made for proto::Room {
    fn uuid(&self) -> &str {
        &self.uuid
    }

    fn access_key(&self) -> &str {
        &self.access_key
    }
}

fn parse_create(mut request: CreateRoomRequest) -> Result<(CreateParams, NewRoom), Error> {
    let mut violations = Violations::default();
    let region = parse::region(request.region, &mut violations);
    let CreateRoomRequest { limit, recording, .. } = request;
    if limit < 0 {
        violations.add("limit", "must not be negative; 0 is no limit");
    }
    let token_grant = parse::token_grant(request.token_grant.as_ref(), Kind::Room, &mut violations);
    parse::request_id(&request.request_id, &mut violations);
    let (region, token_grant) = violations.unless_any(region.zip(token_grant))?;
    let request_id = std::mem::take(&mut request.request_id);
    let request_id = digest_of(request_id, &request);
    Ok((
        CreateParams { project: request.project, region, token_grant, request_id },
        NewRoom { limit, recording },
    ))
}

fn describe(room: Room, region: Region) -> proto::Room {
    proto::Room {
        app_identifier: app_identifier(&room),
        uuid: room.uuid,
        region: proto::Region::from(region).into(),
        disabled: room.is_ban.unwrap_or_default(),
        recording: room.is_record.unwrap_or_default(),
        limit: room.limit.unwrap_or_default(),
        create_time: room.created_at.map(Into::into),
        access_key: String::new(),
    }
}

/// Empty, unless the upstream gave both parts of it.
fn app_identifier(Room { team_uuid, app_uuid, .. }: &Room) -> String {
    if team_uuid.is_empty() || app_uuid.is_empty() {
        String::new()
    } else {
        format!("{team_uuid}/{app_uuid}")
    }
}
