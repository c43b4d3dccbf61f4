//! Rooms: created, read, listed, disabled.

use inkpass::token::{Kind, Role};
use serde_json::{Value, json};

use super::{Whiteboard, sdk, token_of};

#[tokio::test]
async fn a_room_shows_what_the_vendor_shows_and_nothing_else() {
    let board = Whiteboard::start().await;
    let created =
        board.call("POST", "/v5/rooms", &sdk(Role::Writer), json!({"isRecord": false, "limit": 5})).await;
    assert_eq!(created.status, 201);
    let uuid = created.text("uuid");
    let (team, app) = (created.text("teamUUID"), created.text("appUUID"));
    for id in [&uuid, &team, &app] {
        assert!(id.len() == 32 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    }
    assert_eq!(
        created.body,
        json!({
            "uuid": uuid, "teamUUID": team, "appUUID": app, "isRecord": false, "isBan": false,
            "createdAt": "2026-09-21T14:13:20.000Z", "limit": 5,
        })
    );
    let token = token_of("one-a", Kind::Room, &uuid, Role::Writer);
    let read = board.call("GET", &format!("/v5/rooms/{uuid}"), &token, Value::Null).await;
    assert_eq!((read.status, read.body), (200, created.body));
}

#[tokio::test]
async fn recording_is_taken_in_every_region() {
    let board = Whiteboard::start().await;
    for region in ["us-sv", "sg", "in-mum", "eu", "gb-lon", "cn-hz"] {
        let body = json!({"isRecord": true});
        let answer = board.call_in(region, "POST", "/v5/rooms", &sdk(Role::Writer), body).await;
        assert_eq!((answer.status, &answer.body["isRecord"]), (201, &json!(true)), "{region}");
    }
}

#[tokio::test]
async fn a_listing_starts_at_the_room_that_it_names() {
    let board = Whiteboard::start().await;
    let mut rooms = Vec::new();
    for _ in 0..102 {
        rooms.push(board.room().await);
    }
    let list = async |query: &str| {
        let answer = board.call("GET", &format!("/v5/rooms{query}"), &sdk(Role::Writer), Value::Null).await;
        let uuid = |room: &Value| room["uuid"].as_str().unwrap().to_owned();
        answer.body.as_array().map(|list| list.iter().map(uuid).collect::<Vec<_>>())
    };
    assert_eq!(list("").await.unwrap(), rooms[..100]);
    assert_eq!(list("?limit=1000").await.unwrap(), rooms);
    assert_eq!(list(&format!("?beginUUID={}&limit=2", rooms[4])).await.unwrap(), rooms[4..6]);
    assert_eq!(list(&format!("?beginUUID={}", rooms[101])).await.unwrap(), rooms[101..]);
    for query in ["?limit=0", "?limit=1001", "?limit=-1", "?limit=many", "?beginUUID=none"] {
        assert_eq!(list(query).await, None, "{query}");
    }
}

#[tokio::test]
async fn a_disabled_room_is_seen_but_not_touched() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let path = format!("/v5/rooms/{room}");
    let token = token_of("one-a", Kind::Room, &room, Role::Admin);
    let banned = board.call("PATCH", &path, &token, json!({"isBan": true})).await;
    assert_eq!((banned.status, &banned.body["isBan"]), (201, &json!(true)));
    assert_eq!(board.call("GET", &path, &token, Value::Null).await.body["isBan"], true);

    let size = json!({"width": 1, "height": 1});
    for (method, rest, body) in [
        ("GET", "/scenes", Value::Null),
        ("POST", "/scenes", json!({"path": "/", "scenes": [{"name": "a"}]})),
        ("PATCH", "/scene-state", json!({"scenePath": "/init"})),
        ("POST", "/screenshots", size.clone()),
        ("POST", "/screenshot-list", size),
    ] {
        board.call(method, &format!("{path}{rest}"), &token, body).await.is(403, "room is banned");
    }

    board.call("PATCH", &path, &token, json!({"isBan": false})).await;
    let scenes = board.call("GET", &format!("{path}/scenes"), &token, Value::Null).await;
    assert_eq!((scenes.status, scenes.body), (200, json!(["/init"])));
    assert_eq!(board.call("PATCH", &path, &token, json!({})).await.status, 400);
}
