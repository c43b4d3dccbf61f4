//! `SceneService.AddScenes`.

use inkpass::proto::{AddScenesRequest, DisableRoomRequest, NewScene, SceneBackground};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent, url_of};
use crate::helpers::{World, assert_refused, scripted::Scripted};

async fn add(world: &World, target: Target, scene_dir: &str, scenes: Vec<NewScene>) -> Result<(), Status> {
    let Target { project, access_key, region, uuid: room_uuid } = target;
    let request =
        AddScenesRequest { project, access_key, region, room_uuid, scene_dir: scene_dir.into(), scenes };
    world.client.scenes().add_scenes(request).await.map(|_| ())
}

fn named(name: &str) -> NewScene {
    NewScene { name: name.into(), background: None }
}

#[tokio::test]
async fn scenes_are_added_with_a_room_writer_s_token_and_a_path_again_overwrites() {
    let world = World::start().await;
    let uuid = world.room().await;
    let background = SceneBackground { src: "https://example.com/a.png".into(), width_px: 3, height_px: 4 };
    let scenes = vec![NewScene { background: Some(background), ..named("1") }, named("2")];
    for _ in 0..2 {
        let target = Target { uuid: uuid.clone(), ..Target::default() };
        add(&world, target, "/lesson", scenes.clone()).await.unwrap();
        assert_sent(&world, "POST", &format!("/v5/rooms/{uuid}/scenes"), "us-sv", ("room", "writer")).await;
        let ppt = json!({ "src": "https://example.com/a.png", "width": 3, "height": 4 });
        let scenes = json!([{ "name": "1", "ppt": ppt }, { "name": "2" }]);
        assert_eq!(world.upstream.last().await["body"], json!({ "path": "/lesson", "scenes": scenes }));
    }
}

#[tokio::test]
async fn any_answer_of_success_will_do_and_many_mistakes_arrive() {
    let world = Scripted::new(204, "").start().await;
    let target = Target { uuid: "r1".into(), ..Target::default() };
    add(&world, target.clone(), "/a", vec![named("1")]).await.unwrap();
    let refused = add(&world, target, "/a", vec![named(""); 20_000]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
}

#[tokio::test]
async fn a_refusal_in_an_answer_of_success_is_one() {
    for (body, code, reason) in [
        (r#"{"code":2010606}"#, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED"),
        (r#"{"error":{"title":"room is banned"}}"#, Code::FailedPrecondition, "ROOM_DISABLED"),
        (r#"{"error":{"title":"who knows"}}"#, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
    ] {
        let world = Scripted::new(201, body).start().await;
        let target = Target { uuid: "r1".into(), ..Target::default() };
        let refused = add(&world, target, "/a", vec![named("1")]).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
    }
}

#[tokio::test]
async fn a_background_s_url_of_2048_bytes_is_taken_and_a_longer_one_refused() {
    let world = World::start().await;
    let target = Target { uuid: world.room().await, ..Target::default() };
    let scenes = |length| {
        let background = SceneBackground { src: url_of(length), width_px: 3, height_px: 4 };
        vec![NewScene { background: Some(background), ..named("1") }]
    };
    add(&world, target.clone(), "/a", scenes(2048)).await.unwrap();
    let refused = add(&world, target, "/a", scenes(2049)).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["scenes[0].background.src"]);
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call =
        Call { world: &world, uuid: &uuid, field: "room_uuid", missing: "ROOM_NOT_FOUND", is_post: true };
    call.refuses_alike(async |target| add(&world, target, "/a", vec![named("1")]).await).await;

    let before = world.upstream.requests().await.len();
    let refused = add(&world, Target::default(), "", vec![]).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["room_uuid", "scene_dir", "scenes"]);
    let background = SceneBackground { src: "a.png".into(), width_px: 0, height_px: -1 };
    let scenes = vec![
        named("1"),
        named("1"),
        named("a/b"),
        named(""),
        NewScene { background: Some(background), ..named("5") },
        named("a\nb"),
        named(&"x".repeat(1025)),
        named(&"x".repeat(1024)),
    ];
    let refused =
        add(&world, Target { uuid: uuid.clone(), ..Target::default() }, "/a", scenes).await.unwrap_err();
    let fields = [
        "scenes[1].name",
        "scenes[2].name",
        "scenes[3].name",
        "scenes[4].background.src",
        "scenes[4].background.width_px",
        "scenes[4].background.height_px",
        "scenes[5].name",
        "scenes[6].name",
    ];
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    assert_eq!(world.upstream.requests().await.len(), before);

    let disable = DisableRoomRequest { uuid: uuid.clone(), ..Default::default() };
    world.client.rooms().disable_room(disable).await.unwrap();
    let refused =
        add(&world, Target { uuid, ..Target::default() }, "/a", vec![named("1")]).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "ROOM_DISABLED", &[]);
}
