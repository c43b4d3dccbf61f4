//! `RoomService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{Error, House, convert, grant, status::Missing, violations::Violations};
use crate::{
    issuer::Grant,
    proto::{CreateRoomRequest, CreateRoomResponse, room_service_server::RoomService},
    region::Region,
    token::Kind,
};

pub(super) struct Rooms(pub(super) Arc<House>);

#[async_trait]
impl RoomService for Rooms {
    async fn create_room(
        &self,
        request: Request<CreateRoomRequest>,
    ) -> Result<Response<CreateRoomResponse>, Status> {
        let house = &self.0;
        let new = NewRoom::parse(request.get_ref())?;
        let permit = house.permit(&request.get_ref().project, new.region, new.grant)?;
        let created = house.whiteboard.create_room(permit.access(), new.limit).await;
        let room = created.map_err(|error| Error::Upstream(error, Missing::Nothing))?;
        let token = house.token_for(&permit, Kind::Room, &room.uuid);
        let room = convert::room(room, permit.region, permit.key.access_key());
        Ok(Response::new(CreateRoomResponse { room: Some(room), token }))
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
