//! Who may call what: the token and region headers, and the permission table.

use inkpass::{
    emulator::{ErrorShape, Settings},
    token::{Claims, Kind, Nonce, Role, Scope},
};
use serde_json::{Value, json};

use super::{Whiteboard, key, read, sdk, token_of};

#[tokio::test]
async fn a_token_that_is_no_good_is_answered_401_in_the_vendor_s_words() {
    let board = Whiteboard::start().await;
    let mut forged = sdk(Role::Writer);
    forged.replace_range(12..13, if &forged[12..13] == "a" { "b" } else { "a" });
    let claims = Claims { scope: Scope::Sdk, role: Role::Admin, expire_at: None };
    let other_secret = inkpass::token::SigningKey::new("one-a", b"another secret").unwrap();
    let foreign = other_secret.sign(&claims, &Nonce::random([1; 16])).expose().to_owned();
    let unknown = key("nobody").sign(&claims, &Nonce::random([1; 16])).expose().to_owned();
    for (token, message) in [
        ("", "invalid format of token"),
        ("NETLESSSDK_%%%", "invalid format of token"),
        ("WHITEcGFydG5lcl9pZD0x", "invalid format of token"),
        (&foreign, "invalid signature of token"),
        (&unknown, "token access team forbidden"),
    ] {
        board.call("POST", "/v5/rooms", token, json!({})).await.is(401, message);
    }
    assert_eq!(board.call("POST", "/v5/rooms", &forged, json!({})).await.status, 401);
    read(board.request("POST", "/v5/rooms")).await.is(401, "invalid format of token");

    board.advance(3_600_000);
    board.call("POST", "/v5/rooms", &sdk(Role::Admin), json!({})).await.is(401, "expired token");
}

#[tokio::test]
async fn every_call_takes_the_tokens_of_the_permission_table_and_no_others() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let task = board.task(json!({"resource": "https://a.example/b.pdf", "type": "static"})).await;
    let room_path = |rest: &str| format!("/v5/rooms/{room}{rest}");
    let task_path = |rest: &str| format!("/v5/projector/tasks/{task}{rest}");
    // The roles that may, of SDK, Room and Task tokens: a admin, w writer, r reader.
    let calls = [
        ("POST", "/v5/rooms".to_owned(), json!({}), ["aw", "", ""]),
        ("GET", "/v5/rooms".to_owned(), Value::Null, ["aw", "", ""]),
        ("GET", room_path(""), Value::Null, ["aw", "aw", ""]),
        ("PATCH", room_path(""), json!({"isBan": false}), ["a", "a", ""]),
        ("GET", room_path("/scenes"), Value::Null, ["aw", "aw", ""]),
        ("POST", room_path("/scenes"), json!({"path": "/", "scenes": []}), ["aw", "aw", ""]),
        ("PATCH", room_path("/scene-state"), json!({"scenePath": "/init"}), ["aw", "aw", ""]),
        ("POST", room_path("/screenshots"), json!({"width": 1, "height": 1}), ["aw", "aw", ""]),
        ("POST", room_path("/screenshot-list"), json!({"width": 1, "height": 1}), ["aw", "aw", ""]),
        (
            "POST",
            "/v5/projector/tasks".to_owned(),
            json!({"resource": "https://a.example/b.pdf", "type": "static"}),
            ["aw", "", ""],
        ),
        ("GET", "/v5/projector/tasks".to_owned(), Value::Null, ["aw", "", ""]),
        ("GET", task_path(""), Value::Null, ["awr", "", "awr"]),
        ("PUT", task_path("/priority"), json!({"priority": "lowest"}), ["aw", "", ""]),
        ("DELETE", task_path(""), Value::Null, ["aw", "", ""]),
        ("POST", format!("/v5/tokens/rooms/{room}"), json!({"role": "reader"}), ["awr", "", ""]),
        ("POST", format!("/v5/tokens/tasks/{task}"), json!({"role": "reader"}), ["awr", "", ""]),
    ];
    for (method, path, body, allowed) in calls {
        for (kind, allowed) in Kind::ALL.into_iter().zip(allowed) {
            for role in Role::ALL {
                let uuid = if kind == Kind::Task { &task } else { &room };
                let token = token_of("one-a", kind, uuid, role);
                let answer = board.call(method, &path, &token, body.clone()).await;
                let context = format!("{method} {path} {kind:?} {role:?}: {}", answer.body);
                let name = role.as_str();
                if allowed.contains(&name[..1]) {
                    let created = matches!(method, "POST" | "PATCH");
                    assert_eq!(answer.status, if created { 201 } else { 200 }, "{context}");
                    continue;
                }
                let message = match kind {
                    Kind::Room if allowed.is_empty() => "token access room forbidden".to_owned(),
                    Kind::Task if allowed.is_empty() => "token access task forbidden".to_owned(),
                    _ => format!("token access role {name} forbidden"),
                };
                assert_eq!((answer.status, &answer.body["message"]), (403, &json!(message)), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_opens_only_the_room_or_task_that_it_is_bound_to() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let task = board.task(json!({"resource": "https://a.example/b.pdf", "type": "static"})).await;
    let other_room = token_of("one-a", Kind::Room, "another", Role::Admin);
    let other_task = token_of("one-a", Kind::Task, "another", Role::Admin);
    board
        .call("GET", &format!("/v5/rooms/{room}"), &other_room, Value::Null)
        .await
        .is(403, "token access room forbidden");
    board
        .call("GET", &format!("/v5/projector/tasks/{task}"), &other_task, Value::Null)
        .await
        .is(403, "token access task forbidden");
}

#[tokio::test]
async fn a_room_is_seen_in_its_own_region_and_project_only() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let path = format!("/v5/rooms/{room}");
    assert_eq!(board.call("GET", &path, &sdk(Role::Writer), Value::Null).await.status, 200);
    let second_key = token_of("one-b", Kind::Room, &room, Role::Writer);
    assert_eq!(board.call("GET", &path, &second_key, Value::Null).await.status, 200);

    board.call_in("us-sv", "GET", &path, &sdk(Role::Writer), Value::Null).await.is(404, "room not found");
    let foreign = token_of("two-a", Kind::Sdk, "", Role::Writer);
    board.call("GET", &path, &foreign, Value::Null).await.is(404, "room not found");
    let listed = board.call("GET", "/v5/rooms", &foreign, Value::Null).await;
    assert_eq!(listed.body, json!([]));

    let region = board.call_in("mars", "GET", &path, &sdk(Role::Writer), Value::Null).await;
    region.is(400, "region must be one of us-sv, sg, in-mum, eu, gb-lon, cn-hz");
}

#[tokio::test]
async fn a_call_without_a_region_goes_to_china() {
    let board = Whiteboard::start().await;
    let created = read(board.request("POST", "/v5/rooms").header("token", sdk(Role::Writer))).await;
    let path = format!("/v5/rooms/{}", created.text("uuid"));
    assert_eq!(board.call_in("cn-hz", "GET", &path, &sdk(Role::Writer), Value::Null).await.status, 200);
    assert_eq!(board.call("GET", &path, &sdk(Role::Writer), Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_key_that_created_it_can_be_asked_for() {
    let board = Whiteboard::with(Settings { same_key: true, ..Settings::default() }).await;
    let room = board.room().await;
    let path = format!("/v5/rooms/{room}");
    let second_key = token_of("one-b", Kind::Room, &room, Role::Writer);
    board.call("GET", &path, &second_key, Value::Null).await.is(403, "token access room forbidden");
    for (key, kind) in [("one-a", Kind::Room), ("one-b", Kind::Sdk)] {
        let token = token_of(key, kind, &room, Role::Writer);
        assert_eq!(board.call("GET", &path, &token, Value::Null).await.status, 200);
    }

    let task = board.task(json!({"resource": "https://a.example/b.pdf", "type": "static"})).await;
    let path = format!("/v5/projector/tasks/{task}");
    for (key, status) in [("one-a", 200), ("one-b", 403)] {
        let token = token_of(key, Kind::Task, &task, Role::Reader);
        assert_eq!(board.call("GET", &path, &token, Value::Null).await.status, status);
    }
}

#[tokio::test]
async fn a_failure_has_the_shape_that_is_set() {
    let settings = Settings { error_shape: ErrorShape::Observed, ..Settings::default() };
    let board = Whiteboard::with(settings).await;
    let error = board.call("GET", "/v5/rooms/none", &sdk(Role::Writer), Value::Null).await;
    let error = &error.body["error"];
    assert_eq!((&error["title"], &error["messages"]), (&json!("room not found"), &json!([])));
    assert_eq!(error["region"], "eu");
    let id = error["requestId"].as_str().unwrap();
    let is_id = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
    assert!(id.len() == 14 && id.bytes().all(is_id), "{id}");
    assert!(error["traceStack"][0].is_string());
    let error = board.call("GET", "/v5/projector/tasks/none", &sdk(Role::Writer), Value::Null).await;
    assert_eq!(error.body["error"]["code"], 2_010_605);
}

#[tokio::test]
async fn what_no_call_takes_is_refused_as_json_too() {
    let board = Whiteboard::start().await;
    let token = sdk(Role::Admin);
    board.call("GET", "/v5/nothing", &token, Value::Null).await.is(404, "no such path");
    board.call("DELETE", "/v5/rooms", &token, Value::Null).await.is(405, "method not allowed");
    let too_large = Value::from("a".repeat(1024 * 1024));
    board.call("POST", "/v5/rooms", &token, too_large).await.is(413, "body too large");
    for body in ["{", "[]", "\"\"", "{\"limit\": -1}", "{\"isRecord\": 1}"] {
        let request = board.request("POST", "/v5/rooms").header("token", &token).body(body);
        assert_eq!(read(request).await.status, 400, "{body}");
    }
    let answer = board.call("GET", "/v5/rooms/%ff", &token, Value::Null).await;
    assert_eq!(answer.status, 400);
}
