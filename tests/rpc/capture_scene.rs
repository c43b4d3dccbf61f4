//! `SceneService.CaptureScene`.

use inkpass::proto::{CaptureSceneRequest, DisableRoomRequest, Screenshot};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused};

async fn capture(
    world: &World,
    target: Target,
    scene_path: &str,
    (width_px, height_px): (i32, i32),
) -> Result<Screenshot, Status> {
    let Target { project, access_key, region, uuid: room_uuid } = target;
    let scene_path = scene_path.to_owned();
    let request =
        CaptureSceneRequest { project, access_key, region, room_uuid, scene_path, width_px, height_px };
    world.client.scenes().capture_scene(request).await.map(|answer| answer.into_inner().screenshot.unwrap())
}

#[tokio::test]
async fn a_screenshot_is_taken_with_a_room_writer_s_token() {
    let world = World::start().await;
    let uuid = world.room().await;
    let target = Target { uuid: uuid.clone(), ..Target::default() };
    let taken = capture(&world, target.clone(), "/init", (16, 9)).await.unwrap();
    assert!(taken.url.starts_with("http") && !taken.key.is_empty() && !taken.bucket.is_empty());
    assert_sent(&world, "POST", &format!("/v5/rooms/{uuid}/screenshots"), "us-sv", ("room", "writer")).await;
    assert_eq!(world.upstream.last().await["body"], json!({ "width": 16, "height": 9, "path": "/init" }));
    capture(&world, target, "", (16, 9)).await.unwrap();
    assert_eq!(world.upstream.last().await["body"], json!({ "width": 16, "height": 9 }));
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.room().await;
    let call =
        Call { world: &world, uuid: &uuid, field: "room_uuid", missing: "ROOM_NOT_FOUND", is_post: true };
    call.refuses_alike(async |target| capture(&world, target, "", (16, 9)).await.map(|_| ())).await;

    let refused = capture(&world, Target::default(), "init", (0, -1)).await.unwrap_err();
    let fields = ["room_uuid", "scene_path", "width_px", "height_px"];
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    let target = Target { uuid: uuid.clone(), ..Target::default() };
    let refused = capture(&world, target.clone(), "/nowhere", (16, 9)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "SCENE_NOT_FOUND", &[]);

    world.upstream.put("features", json!({ "region": "us-sv", "screenshots": false })).await;
    let refused = capture(&world, target.clone(), "", (16, 9)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED", &[]);
    world.upstream.put("features", json!({ "region": "us-sv", "screenshots": true })).await;
    world.client.rooms().disable_room(DisableRoomRequest { uuid, ..Default::default() }).await.unwrap();
    let refused = capture(&world, target, "", (16, 9)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "ROOM_DISABLED", &[]);
}
