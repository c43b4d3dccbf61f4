//! `RoomService`.

use std::sync::Arc;

use futures_util::FutureExt;
use tonic::{Request, Response, Status, async_trait};

use super::{
    Error, House, convert,
    house::{caller, grant},
    pages::{self, List},
    status::Missing,
    target::{Target, target},
    violations::Violations,
};
use crate::{
    issuer::Grant,
    proto::{
        CreateRoomRequest, CreateRoomResponse, DisableRoomRequest, DisableRoomResponse, EnableRoomRequest,
        EnableRoomResponse, GetRoomRequest, GetRoomResponse, ListRoomsRequest, ListRoomsResponse, Room,
        room_service_server::RoomService,
    },
    region::Region,
    token::Kind,
    whiteboard,
};

pub(super) struct Rooms(pub(super) Arc<House>);

fn room_missing(error: whiteboard::Error) -> Error {
    Error::Upstream(error, Missing::Room)
}

#[async_trait]
impl RoomService for Rooms {
    async fn create_room(
        &self,
        request: Request<CreateRoomRequest>,
    ) -> Result<Response<CreateRoomResponse>, Status> {
        let house = &self.0;
        let caller = caller(&request);
        let mut request = request.into_inner();
        let new = NewRoom::parse(&request)?;
        let permit = house.permit(&request.project, new.region, new.grant)?;
        let (whiteboard, access) = (house.whiteboard.clone(), permit.access.clone());
        let act = async move {
            let room = whiteboard.create_room(&access, new.limit).await?;
            Ok(convert::room(room, access.region, access.key.access_key()))
        };
        let request_id = std::mem::take(&mut request.request_id);
        let room: Room = house.create((caller, "CreateRoom"), request, request_id, act.boxed()).await?;
        let token = house.token_for(&permit, Kind::Room, &room.uuid, &room.access_key)?;
        Ok(Response::new(CreateRoomResponse { room: Some(room), token }))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        let request = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(request.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let access = self.0.access_to(&target)?;
        let room = self.0.whiteboard.room(&access, target.uuid).await.map_err(room_missing)?;
        let room = convert::room(room, access.region, "");
        Ok(Response::new(GetRoomResponse { room: Some(room) }))
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let request = request.get_ref();
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        let size = pages::size(request.page_size, &mut violations);
        let (region, size) = violations.unless_any(region.zip(size))?;
        let (project, access) = self.0.access(&request.project, region)?;
        let list = List { project: project.name(), region: access.region };
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
        let request = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(request.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let room = self.set_disabled(&target, true).await?;
        Ok(Response::new(DisableRoomResponse { room: Some(room) }))
    }

    async fn enable_room(
        &self,
        request: Request<EnableRoomRequest>,
    ) -> Result<Response<EnableRoomResponse>, Status> {
        let request = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(request.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let room = self.set_disabled(&target, false).await?;
        Ok(Response::new(EnableRoomResponse { room: Some(room) }))
    }
}

impl Rooms {
    async fn set_disabled(&self, target: &Target<'_>, disabled: bool) -> Result<Room, Error> {
        let access = self.0.access_to(target)?;
        let room = self.0.whiteboard.set_room_disabled(&access, target.uuid, disabled).await;
        Ok(convert::room(room.map_err(room_missing)?, access.region, ""))
    }
}

/// A `CreateRoomRequest` that says nothing wrong.
struct NewRoom {
    region: Option<Region>,
    limit: i32,
    grant: Option<Grant>,
}

impl NewRoom {
    fn parse(request: &CreateRoomRequest) -> Result<Self, Error> {
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        if request.limit < 0 {
            violations.add("limit", "must not be negative; 0 is no limit");
        }
        let grant = grant(request.token_grant.as_ref(), Kind::Room, &mut violations);
        convert::request_id(&request.request_id, &mut violations);
        let parsed = region.map(|region| Self { region, limit: request.limit, grant });
        violations.unless_any(parsed)
    }
}
