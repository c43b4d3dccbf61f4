//! `SceneService.SwitchScene`.

use inkpass::{
    proto::{AddScenesRequest, NewScene, SwitchSceneRequest},
    token::Role,
};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{Setup, World, assert_refused, scripted::Scripted};

async fn switch(world: &World, target: Target, scene_path: &str) -> Result<String, Status> {
    let Target { project, access_key, region, uuid: room_uuid } = target;
    let request =
        SwitchSceneRequest { project, access_key, region, room_uuid, scene_path: scene_path.into() };
    world.client.scenes().switch_scene(request).await.map(|answer| answer.into_inner().scene_path)
}

#[tokio::test]
async fn a_scene_is_shown_with_a_room_writer_s_token() {
    let world = World::start().await;
    let uuid = world.room().await;
    let scenes = vec![NewScene { name: "1".into(), background: None }];
    let add =
        AddScenesRequest { room_uuid: uuid.clone(), scene_dir: "/a".into(), scenes, ..Default::default() };
    world.client.scenes().add_scenes(add).await.unwrap();
    let target = Target { uuid: uuid.clone(), ..Target::default() };
    assert_eq!(switch(&world, target.clone(), "/a/1").await.unwrap(), "/a/1");
    assert_sent(&world, "PATCH", &format!("/v5/rooms/{uuid}/scene-state"), "us-sv", ("room", "writer")).await;
    assert_eq!(world.upstream.last().await["body"], json!({ "scenePath": "/a/1" }));
    for spelling in ["/a/1/", "//a//1"] {
        assert_eq!(switch(&world, target.clone(), spelling).await.unwrap(), "/a/1");
    }
    for nothing in ["/a", "/a/2", "/"] {
        let refused = switch(&world, target.clone(), nothing).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "SCENE_NOT_FOUND", &[]);
    }
}

#[tokio::test]
async fn an_upstream_that_stays_where_it_was_did_not_find_the_scene() {
    let world = Scripted::new(201, r#"{"currentScenePath":["init"]}"#).start().await;
    let target = Target { uuid: "r1".into(), ..Target::default() };
    let refused = switch(&world, target.clone(), "/a/1").await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "SCENE_NOT_FOUND", &[]);
    assert_eq!(switch(&world, target, "/init").await.unwrap(), "/init");
}

#[tokio::test]
async fn a_refusal_in_an_answer_of_success_is_one() {
    let world = Scripted::new(201, r#"{"code":2010606}"#).start().await;
    let target = Target { uuid: "r1".into(), ..Target::default() };
    let refused = switch(&world, target.clone(), "/a").await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED", &[]);
    let world = Scripted::new(204, "").start().await;
    assert_eq!(switch(&world, target, "/a").await.unwrap(), "/a");
}

#[tokio::test]
async fn a_404_that_repeats_the_path_speaks_of_no_scene() {
    for (message, reason) in
        [("Cannot PATCH /v5/rooms/r1/scene-state", "ROOM_NOT_FOUND"), ("Scene not found", "SCENE_NOT_FOUND")]
    {
        let world = Scripted::new(404, json!({ "message": message }).to_string()).start().await;
        let target = Target { uuid: "r1".into(), ..Target::default() };
        let refused = switch(&world, target, "/a/1").await.unwrap_err();
        assert_refused(&refused, Code::NotFound, reason, &[]);
    }
}

#[tokio::test]
async fn a_setting_raises_the_role_that_switches() {
    let world = Setup { switch_scene_role: Role::Admin, ..Setup::default() }.start().await;
    let uuid = world.room().await;
    switch(&world, Target { uuid: uuid.clone(), ..Target::default() }, "/init").await.unwrap();
    assert_sent(&world, "PATCH", &format!("/v5/rooms/{uuid}/scene-state"), "us-sv", ("room", "admin")).await;
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call =
        Call { world: &world, uuid: &uuid, field: "room_uuid", missing: "ROOM_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| switch(&world, target, "/init").await.map(|_| ())).await;
    for path in ["", "init"] {
        let refused = switch(&world, Target::default(), path).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["room_uuid", "scene_path"]);
    }
}
