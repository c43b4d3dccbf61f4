//! What every call says where a feature is off, a room is disabled, or the vendor has taken the
//! project's key back.

use inkpass::{
    emulator::{ErrorShape, Settings},
    proto::{
        AddScenesRequest, CancelConversionRequest, CaptureSceneDirRequest, CaptureSceneRequest,
        CreateRoomRequest, DisableRoomRequest, DynamicFormat, EnableRoomRequest, GetConversionRequest,
        GetRoomRequest, ListPendingConversionsRequest, ListRoomsRequest, ListScenesRequest, NewScene,
        PrioritizeConversionRequest, Priority, StartConversionRequest, SwitchSceneRequest,
        WatchConversionRequest, start_conversion_request::Format,
    },
};
use serde_json::json;
use tonic::{Code, Status};

use crate::helpers::{Setup, World, assert_refused};

type Answers = Vec<(&'static str, Result<(), Status>)>;

#[track_caller]
fn assert_all_refused(answers: Answers, code: Code, reason: &str) {
    for (rpc, answer) in answers {
        assert_refused(&answer.expect_err(rpc), code, reason, &[]);
    }
}

#[track_caller]
fn assert_all_done(answers: Answers) {
    for (rpc, answer) in answers {
        answer.expect(rpc);
    }
}

/// A world whose upstream's failures have this shape.
async fn with_errors(error_shape: ErrorShape) -> World {
    Setup { emulator: Settings { error_shape, ..Settings::default() }, ..Setup::default() }.start().await
}

/// Every call on scenes.
async fn scenes(world: &World, room: &str) -> Answers {
    let (mut scenes, room_uuid) = (world.client.scenes(), room.to_owned());
    let list = ListScenesRequest { room_uuid: room_uuid.clone(), ..Default::default() };
    let add = AddScenesRequest {
        room_uuid: room_uuid.clone(),
        scene_dir: "/a".into(),
        scenes: vec![NewScene { name: "1".into(), background: None }],
        ..Default::default()
    };
    let switch =
        SwitchSceneRequest { room_uuid: room_uuid.clone(), scene_path: "/init".into(), ..Default::default() };
    let one =
        CaptureSceneRequest { room_uuid: room_uuid.clone(), width_px: 4, height_px: 3, ..Default::default() };
    let all = CaptureSceneDirRequest { room_uuid, width_px: 4, height_px: 3, ..Default::default() };
    vec![
        ("ListScenes", scenes.list_scenes(list).await.map(drop)),
        ("AddScenes", scenes.add_scenes(add).await.map(drop)),
        ("SwitchScene", scenes.switch_scene(switch).await.map(drop)),
        ("CaptureScene", scenes.capture_scene(one).await.map(drop)),
        ("CaptureSceneDir", scenes.capture_scene_dir(all).await.map(drop)),
    ]
}

/// Every call on rooms.
async fn rooms(world: &World, room: &str) -> Answers {
    let (mut rooms, uuid) = (world.client.rooms(), room.to_owned());
    let get = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let disable = DisableRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let enable = EnableRoomRequest { uuid, ..Default::default() };
    vec![
        ("CreateRoom", rooms.create_room(CreateRoomRequest::default()).await.map(drop)),
        ("GetRoom", rooms.get_room(get).await.map(drop)),
        ("ListRooms", rooms.list_rooms(ListRoomsRequest::default()).await.map(drop)),
        ("DisableRoom", rooms.disable_room(disable).await.map(drop)),
        ("EnableRoom", rooms.enable_room(enable).await.map(drop)),
    ]
}

/// Every call on conversions.
async fn conversions(world: &World, conversion: &str) -> Answers {
    let (mut calls, uuid) = (world.client.conversions(), conversion.to_owned());
    let start = StartConversionRequest {
        resource: "https://example.com/a.pptx".into(),
        format: Some(Format::DynamicFormat(DynamicFormat::default())),
        ..Default::default()
    };
    let get = GetConversionRequest { uuid: uuid.clone(), ..Default::default() };
    let list = ListPendingConversionsRequest::default();
    let prioritize = PrioritizeConversionRequest {
        uuid: uuid.clone(),
        priority: Priority::Highest.into(),
        ..Default::default()
    };
    let cancel = CancelConversionRequest { uuid: uuid.clone(), ..Default::default() };
    let mut watches = calls.clone();
    let watch = async {
        let request = WatchConversionRequest { uuid, ..Default::default() };
        watches.watch_conversion(request).await?.into_inner().message().await
    };
    vec![
        ("StartConversion", calls.start_conversion(start).await.map(drop)),
        ("GetConversion", calls.get_conversion(get).await.map(drop)),
        ("WatchConversion", watch.await.map(drop)),
        ("ListPendingConversions", calls.list_pending_conversions(list).await.map(drop)),
        ("PrioritizeConversion", calls.prioritize_conversion(prioritize).await.map(drop)),
        ("CancelConversion", calls.cancel_conversion(cancel).await.map(drop)),
    ]
}

#[tokio::test]
async fn a_disabled_room_can_be_read_and_nothing_else_until_it_is_enabled() {
    for shape in [ErrorShape::Documented, ErrorShape::Observed] {
        disable_and_enable(&with_errors(shape).await).await;
    }
}

async fn disable_and_enable(world: &World) {
    let uuid = world.room().await;
    let read = async || {
        let get = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
        world.client.rooms().get_room(get).await.unwrap().into_inner().room.unwrap()
    };
    let disable = DisableRoomRequest { uuid: uuid.clone(), ..Default::default() };
    world.client.rooms().disable_room(disable).await.unwrap();
    assert!(read().await.disabled);
    assert_all_refused(scenes(world, &uuid).await, Code::FailedPrecondition, "ROOM_DISABLED");
    let enable = EnableRoomRequest { uuid: uuid.clone(), ..Default::default() };
    world.client.rooms().enable_room(enable).await.unwrap();
    assert!(!read().await.disabled);
    assert_all_done(scenes(world, &uuid).await);
}

#[tokio::test]
async fn where_conversions_are_off_every_call_on_them_says_so() {
    for shape in [ErrorShape::Documented, ErrorShape::Observed] {
        let world = with_errors(shape).await;
        let uuid = world.conversion("https://example.com/a.pptx").await;
        world.upstream.put("features", json!({ "region": "us-sv", "conversion": false })).await;
        let answers = conversions(&world, &uuid).await;
        assert_all_refused(answers, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED");
        assert_all_done(rooms(&world, &world.room().await).await);
        world.upstream.put("features", json!({ "region": "us-sv", "conversion": true })).await;
        assert_all_done(conversions(&world, &uuid).await);
    }
}

#[tokio::test]
async fn a_key_that_the_vendor_has_taken_back_is_a_fault_of_this_service() {
    for state in ["revoked", "disabled"] {
        let world = World::start().await;
        let (room, conversion) = (world.room().await, world.conversion("https://example.com/a.pptx").await);
        world.upstream.put("projects", json!({ "access_key": "active-key", "state": state })).await;
        let mut answers = rooms(&world, &room).await;
        answers.extend(scenes(&world, &room).await);
        answers.extend(conversions(&world, &conversion).await);
        assert_eq!(answers.len(), 16, "every call that goes upstream");
        assert_all_refused(answers, Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED");
    }
}
