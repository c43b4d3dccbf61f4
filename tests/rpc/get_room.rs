//! `RoomService.GetRoom`.

use inkpass::proto::{CreateRoomRequest, GetRoomRequest, Region, Room};
use tonic::Status;

use super::alike::{Call, Target, assert_sent};
use crate::helpers::World;

async fn get(world: &World, target: Target) -> Result<Room, Status> {
    let Target { project, access_key, region, uuid } = target;
    let request = GetRoomRequest { project, access_key, region, uuid };
    world.client.rooms().get_room(request).await.map(|answer| answer.into_inner().room.unwrap())
}

#[tokio::test]
async fn a_room_is_read_as_it_was_created_with_a_room_writer_s_token() {
    let world = World::start().await;
    let request = CreateRoomRequest { region: Region::Sg.into(), limit: 3, ..Default::default() };
    let created = world.client.rooms().create_room(request).await.unwrap().into_inner().room.unwrap();
    let target = Target { region: Region::Sg.into(), uuid: created.uuid.clone(), ..Target::default() };
    let read = get(&world, target).await.unwrap();
    assert_eq!(read, Room { access_key: String::new(), ..created.clone() });
    assert_sent(&world, "GET", &format!("/v5/rooms/{}", created.uuid), "sg", ("room", "writer")).await;
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call = Call { world: &world, uuid: &uuid, field: "uuid", missing: "ROOM_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| get(&world, target).await.map(|_| ())).await;
}
