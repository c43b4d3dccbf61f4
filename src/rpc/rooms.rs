//! `RoomService`.

use std::sync::Arc;

use futures_util::FutureExt;
use tonic::{Request, Response, Status, async_trait};

use super::{
    Caller, Error, House, convert,
    house::{Creation, grant},
    pages::{self, List},
    record::{Created, Entry},
    status::Missing,
    target::{Target, target},
    violations::Violations,
};
use crate::{
    issuer::Ask,
    methods::Rpc,
    policy::Mint,
    proto::{
        CreateRoomRequest, CreateRoomResponse, DisableRoomRequest, DisableRoomResponse, EnableRoomRequest,
        EnableRoomResponse, GetRoomRequest, GetRoomResponse, ListRoomsRequest, ListRoomsResponse, Room,
        room_service_server::RoomService,
    },
    region::Region,
    token::Kind,
    whiteboard::{self, Access},
};

pub(super) struct Rooms(pub(super) Arc<House>);

fn room_missing(error: whiteboard::Error) -> Error {
    Error::Upstream(error, Missing::Room)
}

async fn create(
    house: &House,
    caller: Caller,
    mut request: CreateRoomRequest,
    new: NewRoom,
) -> Result<CreateRoomResponse, Error> {
    let NewRoom { region, limit, mint } = new;
    let rpc = Rpc::CreateRoom;
    let ask = Ask { rpc, project: &request.project, access_key: "", region, mint };
    let (permit, access, _) = house.admit(&caller, &Entry::of(ask)).await?;
    let whiteboard = house.whiteboard.clone();
    let act = async move {
        let room = whiteboard.create_room(&access, limit).await?;
        Ok(convert::room(room, access.region, access.key.access_key()))
    };
    let request_id = std::mem::take(&mut request.request_id);
    let creation = Creation { caller, rpc, permit, request_id };
    let identity = |room: &Room| Created { uuid: room.uuid.clone(), access_key: room.access_key.clone() };
    let (room, token) = house.create(creation, request, act.boxed(), identity).await?;
    Ok(CreateRoomResponse { room: Some(room), token })
}

#[async_trait]
impl RoomService for Rooms {
    async fn create_room(
        &self,
        request: Request<CreateRoomRequest>,
    ) -> Result<Response<CreateRoomResponse>, Status> {
        let (house, caller) = (self.0.clone(), Caller::of(&request));
        let request = request.into_inner();
        let new = NewRoom::parse(&request)?;
        let work = async move { create(&house, caller, request, new).await };
        Ok(Response::new(self.0.to_its_end(work).await?))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::GetRoom, &request, &target).await?;
        let room = self.0.whiteboard.room(&access, target.uuid).await.map_err(room_missing)?;
        let room = convert::room(room, access.region, "");
        Ok(Response::new(GetRoomResponse { room: Some(room) }))
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let caller = Caller::of(&request);
        let request = request.get_ref();
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        let size = pages::size(request.page_size, &mut violations);
        let (region, size) = violations.unless_any(region.zip(size))?;
        let ask = Ask { rpc: Rpc::ListRooms, project: &request.project, access_key: "", region, mint: None };
        let (permit, access, _) = self.0.admit(&caller, &Entry::of(ask)).await?;
        let list = List { project: permit.project.name(), region: access.region };
        let after = list.open(&request.page_token)?;
        let page = list.page(&self.0.whiteboard, &access, after.as_deref(), size).await;
        let (rooms, next_page_token) = page.map_err(|error| match error {
            whiteboard::Error::NotFound => pages::foreign_token(),
            error => Error::Upstream(error, Missing::Nothing),
        })?;
        let rooms = rooms.into_iter().map(|room| convert::room(room, access.region, "")).collect();
        Ok(Response::new(ListRoomsResponse { rooms, next_page_token }))
    }

    async fn disable_room(
        &self,
        request: Request<DisableRoomRequest>,
    ) -> Result<Response<DisableRoomResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::DisableRoom, &request, &target).await?;
        let room = self.set_disabled(&access, &target, true).await?;
        Ok(Response::new(DisableRoomResponse { room: Some(room) }))
    }

    async fn enable_room(
        &self,
        request: Request<EnableRoomRequest>,
    ) -> Result<Response<EnableRoomResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::EnableRoom, &request, &target).await?;
        let room = self.set_disabled(&access, &target, false).await?;
        Ok(Response::new(EnableRoomResponse { room: Some(room) }))
    }
}

impl Rooms {
    async fn set_disabled(
        &self,
        access: &Access,
        target: &Target<'_>,
        disabled: bool,
    ) -> Result<Room, Error> {
        let room = self.0.whiteboard.set_room_disabled(access, target.uuid, disabled).await;
        Ok(convert::room(room.map_err(room_missing)?, access.region, ""))
    }
}

/// A `CreateRoomRequest` that says nothing wrong.
struct NewRoom {
    region: Option<Region>,
    limit: i32,
    mint: Option<Mint>,
}

impl NewRoom {
    fn parse(request: &CreateRoomRequest) -> Result<Self, Error> {
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        if request.limit < 0 {
            violations.add("limit", "must not be negative; 0 is no limit");
        }
        let mint = grant(request.token_grant.as_ref(), Kind::Room, &mut violations);
        convert::request_id(&request.request_id, &mut violations);
        let parsed = region.map(|region| Self { region, limit: request.limit, mint });
        violations.unless_any(parsed)
    }
}
