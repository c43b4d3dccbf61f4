//! `SceneService.ListScenes`.

use inkpass::proto::{AddScenesRequest, ListScenesRequest, NewScene};
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused};

async fn list(world: &World, target: Target, scene_dir: &str) -> Result<Vec<String>, Status> {
    let Target { project, access_key, region, uuid: room_uuid } = target;
    let request = ListScenesRequest { project, access_key, region, room_uuid, scene_dir: scene_dir.into() };
    world.client.scenes().list_scenes(request).await.map(|answer| answer.into_inner().scene_paths)
}

#[tokio::test]
async fn the_scenes_of_a_directory_are_listed_with_a_room_writer_s_token() {
    let world = World::start().await;
    let uuid = world.room().await;
    let target = Target { uuid: uuid.clone(), ..Target::default() };
    assert_eq!(list(&world, target.clone(), "").await.unwrap(), ["/init"]);
    assert_eq!(world.upstream.last().await["query"], serde_json::Value::Null);
    let scenes = vec![NewScene { name: "1".into(), background: None }];
    let add = AddScenesRequest {
        room_uuid: uuid.clone(),
        scene_dir: "/a b&c=é".into(),
        scenes,
        ..Default::default()
    };
    world.client.scenes().add_scenes(add).await.unwrap();
    assert_eq!(list(&world, target, "/a b&c=é").await.unwrap(), ["/a b&c=é/1"]);
    assert_sent(&world, "GET", &format!("/v5/rooms/{uuid}/scenes"), "us-sv", ("room", "writer")).await;
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call =
        Call { world: &world, uuid: &uuid, field: "room_uuid", missing: "ROOM_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| list(&world, target, "").await.map(|_| ())).await;
    for dir in ["a", "/a\nb", &format!("/{}", "x".repeat(1024))] {
        let refused = list(&world, Target::default(), dir).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["room_uuid", "scene_dir"]);
    }
    let good = Target { uuid, ..Target::default() };
    for dir in ["/nowhere", &format!("/{}", "x".repeat(1023))] {
        let refused = list(&world, good.clone(), dir).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "SCENE_NOT_FOUND", &[]);
    }
}
