//! The fourteen REST calls, each with the RPC that makes it.

use futures_util::future::{BoxFuture, FutureExt};
use inkpass::{
    client::Client,
    proto::{
        AddScenesRequest, CancelConversionRequest, CaptureSceneDirRequest, CaptureSceneRequest,
        ConversionStatus, CreateRoomRequest, DisableRoomRequest, DynamicFormat, GetConversionRequest,
        GetRoomRequest, ListPendingConversionsRequest, ListRoomsRequest, ListScenesRequest, NewScene,
        PrioritizeConversionRequest, Priority, Role, Screenshot, StartConversionRequest, SwitchSceneRequest,
        TokenGrant, start_conversion_request::Format,
    },
};
use serde_json::{Value, json};
use tonic::Status;

/// A REST call, and the RPC that makes it.
pub(super) struct Row {
    pub(super) method: &'static str,
    /// With `{room}`, or `{dynamic}`, `{static}`, `{failed}` or `{waiting}` for a conversion.
    pub(super) path: &'static str,
    pub(super) body: Value,
    /// The texts that are never lost while they stand in the answer: those of this field, or all of a list.
    pub(super) kept: Kept,
    /// A field whose change may speak against the success of the call, and the reason then.
    pub(super) objection: Option<(&'static str, &'static str)>,
    /// Makes the call on a room or conversion, and gives the texts that it found.
    pub(super) send: fn(Client, String) -> Found,
}

pub(super) type Found = BoxFuture<'static, Result<Vec<String>, Status>>;

#[derive(PartialEq)]
pub(super) enum Kept {
    Nothing,
    Field(&'static str),
    Items,
}

fn grant() -> TokenGrant {
    TokenGrant { role: Role::Reader.into(), validity: None }
}

fn keys(shots: impl IntoIterator<Item = Screenshot>) -> Vec<String> {
    shots.into_iter().map(|shot| shot.key).collect()
}

pub(super) fn rooms() -> Vec<Row> {
    const KEPT: Kept = Kept::Field("uuid");
    let row = |method, path, body, send| Row { method, path, body, kept: KEPT, objection: None, send };
    vec![
        row("POST", "/v5/rooms", json!({"limit": 5}), |client, _| {
            let request = CreateRoomRequest { token_grant: Some(grant()), ..Default::default() };
            async move {
                let made = client.rooms().create_room(request).await?.into_inner();
                let uuid = made.room.unwrap().uuid;
                assert_eq!(made.token.unwrap().uuid, uuid);
                Ok(vec![uuid])
            }
            .boxed()
        }),
        row("GET", "/v5/rooms/{room}", Value::Null, |client, uuid| {
            let request = GetRoomRequest { uuid, ..Default::default() };
            async move { Ok(vec![client.rooms().get_room(request).await?.into_inner().room.unwrap().uuid]) }
                .boxed()
        }),
        row("GET", "/v5/rooms", Value::Null, |client, _| {
            async move {
                let page = client.rooms().list_rooms(ListRoomsRequest::default()).await?.into_inner();
                Ok(page.rooms.into_iter().map(|room| room.uuid).collect())
            }
            .boxed()
        }),
        row("PATCH", "/v5/rooms/{room}", json!({"isBan": false}), |client, uuid| {
            let request = DisableRoomRequest { uuid, ..Default::default() };
            async move { Ok(vec![client.rooms().disable_room(request).await?.into_inner().room.unwrap().uuid]) }.boxed()
        }),
    ]
}

pub(super) fn scenes() -> Vec<Row> {
    let size = json!({"width": 4, "height": 3});
    let new = json!({"path": "/", "scenes": [{"name": "1"}, {"name": "2"}]});
    let row = |method, path, body, kept, send| Row { method, path, body, kept, objection: None, send };
    let switch = row(
        "PATCH",
        "/v5/rooms/{room}/scene-state",
        json!({"scenePath": "/1"}),
        Kept::Nothing,
        |client, uuid| {
            let request =
                SwitchSceneRequest { room_uuid: uuid, scene_path: "/1".into(), ..Default::default() };
            async move { client.scenes().switch_scene(request).await.map(|_| vec![]) }.boxed()
        },
    );
    vec![
        row("POST", "/v5/rooms/{room}/scenes", new, Kept::Nothing, |client, uuid| {
            let scenes = vec![NewScene { name: "1".into(), background: None }];
            let request =
                AddScenesRequest { room_uuid: uuid, scene_dir: "/".into(), scenes, ..Default::default() };
            async move { client.scenes().add_scenes(request).await.map(|_| vec![]) }.boxed()
        }),
        row("GET", "/v5/rooms/{room}/scenes", Value::Null, Kept::Items, |client, uuid| {
            let request = ListScenesRequest { room_uuid: uuid, ..Default::default() };
            async move { Ok(client.scenes().list_scenes(request).await?.into_inner().scene_paths) }.boxed()
        }),
        Row { objection: Some(("/currentScenePath", "SCENE_NOT_FOUND")), ..switch },
        row("POST", "/v5/rooms/{room}/screenshots", size.clone(), Kept::Field("key"), |client, uuid| {
            let request =
                CaptureSceneRequest { room_uuid: uuid, width_px: 4, height_px: 3, ..Default::default() };
            async move { Ok(keys(client.scenes().capture_scene(request).await?.into_inner().screenshot)) }
                .boxed()
        }),
        row("POST", "/v5/rooms/{room}/screenshot-list", size, Kept::Field("key"), |client, uuid| {
            let request =
                CaptureSceneDirRequest { room_uuid: uuid, width_px: 4, height_px: 3, ..Default::default() };
            async move { Ok(keys(client.scenes().capture_scene_dir(request).await?.into_inner().screenshots)) }.boxed()
        }),
    ]
}

pub(super) fn conversions() -> Vec<Row> {
    let order = json!({"resource": "https://files.example/a.pptx", "type": "dynamic"});
    let row = |method, path, body, kept, send| Row { method, path, body, kept, objection: None, send };
    let get = |path| {
        row("GET", path, Value::Null, Kept::Field("uuid"), |client, uuid| {
            let request = GetConversionRequest { uuid, ..Default::default() };
            async move {
                let conversion = client.conversions().get_conversion(request).await?.into_inner().conversion;
                Ok(vec![conversion.unwrap().uuid])
            }
            .boxed()
        })
    };
    let objection = Some(("/success", "CONVERSION_NOT_WAITING"));
    let priority = json!({"priority": "highest"});
    let prioritize =
        row("PUT", "/v5/projector/tasks/{waiting}/priority", priority, Kept::Nothing, |client, uuid| {
            let request = PrioritizeConversionRequest {
                uuid,
                priority: Priority::Highest.into(),
                ..Default::default()
            };
            async move { client.conversions().prioritize_conversion(request).await.map(|_| vec![]) }.boxed()
        });
    let cancel =
        row("DELETE", "/v5/projector/tasks/{waiting}", Value::Null, Kept::Nothing, |client, uuid| {
            let request = CancelConversionRequest { uuid, ..Default::default() };
            async move { client.conversions().cancel_conversion(request).await.map(|_| vec![]) }.boxed()
        });
    vec![
        row("POST", "/v5/projector/tasks", order, Kept::Field("uuid"), |client, _| {
            let request = StartConversionRequest {
                resource: "https://files.example/a.pptx".into(),
                format: Some(Format::DynamicFormat(DynamicFormat::default())),
                token_grant: Some(grant()),
                ..Default::default()
            };
            async move {
                let started = client.conversions().start_conversion(request).await?.into_inner();
                let conversion = started.conversion.unwrap();
                assert_ne!(conversion.status(), ConversionStatus::Unknown, "it was accepted");
                assert_eq!(started.token.unwrap().uuid, conversion.uuid);
                Ok(vec![conversion.uuid])
            }
            .boxed()
        }),
        get("/v5/projector/tasks/{dynamic}"),
        get("/v5/projector/tasks/{static}"),
        // Without a uuid its error code is the call's.
        Row { objection: Some(("/uuid", "UPSTREAM_REFUSED")), ..get("/v5/projector/tasks/{failed}") },
        row("GET", "/v5/projector/tasks", Value::Null, Kept::Field("taskId"), |client, _| {
            let request = ListPendingConversionsRequest::default();
            async move {
                let pending = client.conversions().list_pending_conversions(request).await?.into_inner();
                Ok(pending.conversions.into_iter().map(|conversion| conversion.uuid).collect())
            }
            .boxed()
        }),
        Row { objection, ..prioritize },
        Row { objection, ..cancel },
    ]
}
