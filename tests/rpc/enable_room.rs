//! `RoomService.EnableRoom`.

use inkpass::proto::{EnableRoomRequest, Room};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused, scripted::Scripted};

async fn enable_room(world: &World, target: Target) -> Result<Room, Status> {
    let Target { project, access_key, region, uuid } = target;
    let request = EnableRoomRequest { project, access_key, region, uuid };
    world.client.rooms().enable_room(request).await.map(|answer| answer.into_inner().room.unwrap())
}

#[tokio::test]
async fn it_is_done_with_a_room_admin_s_token_and_again_changes_nothing() {
    let world = World::start().await;
    let uuid = world.room().await;
    for _ in 0..2 {
        let room = enable_room(&world, Target { uuid: uuid.clone(), ..Target::default() }).await.unwrap();
        assert_eq!((room.disabled, &room.uuid), (false, &uuid));
        assert_sent(&world, "PATCH", &format!("/v5/rooms/{uuid}"), "us-sv", ("room", "admin")).await;
        assert_eq!(world.upstream.last().await["body"], json!({ "isBan": false }));
    }
}

#[tokio::test]
async fn success_may_say_nothing_but_not_speak_of_another_room() {
    let target = || Target { uuid: "r1".into(), ..Target::default() };
    for (status, body) in [(204, ""), (201, "{}"), (201, r#"{"uuid":"../r2"}"#)] {
        let world = Scripted::new(status, body).start().await;
        let room = enable_room(&world, target()).await.unwrap();
        assert_eq!((&*room.uuid, room.disabled), ("r1", false), "{body}");
    }
    let world = Scripted::new(201, r#"{"uuid":"r2"}"#).start().await;
    let refused = enable_room(&world, target()).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call = Call { world: &world, uuid: &uuid, field: "uuid", missing: "ROOM_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| enable_room(&world, target).await.map(|_| ())).await;
}
