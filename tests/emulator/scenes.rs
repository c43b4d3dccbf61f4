//! Scenes and screenshots.

use inkpass::token::{Kind, Role};
use serde_json::{Value, json};

use super::{Answer, Whiteboard, token_of};

/// A room, and its writer.
struct Room {
    board: Whiteboard,
    path: String,
    token: String,
}

impl Room {
    async fn new() -> Self {
        let board = Whiteboard::start().await;
        let uuid = board.room().await;
        let token = token_of("one-a", Kind::Room, &uuid, Role::Writer);
        Self { board, path: format!("/v5/rooms/{uuid}"), token }
    }

    async fn call(&self, method: &str, rest: &str, body: Value) -> Answer {
        self.board.call(method, &format!("{}{rest}", self.path), &self.token, body).await
    }

    async fn add(&self, path: &str, names: &[&str]) -> Answer {
        let scenes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        self.call("POST", "/scenes", json!({"path": path, "scenes": scenes})).await
    }
}

#[tokio::test]
async fn scenes_are_added_to_directories_and_listed_by_them() {
    let room = Room::new().await;
    let added = room.add("/lesson", &["one", "two"]).await;
    assert_eq!((added.status, added.body), (201, json!({})));
    room.add("/lesson/extra/", &["three"]).await;
    for (query, paths) in [
        ("", json!(["/init"])),
        ("?sceneDir=/", json!(["/init"])),
        ("?sceneDir=/lesson", json!(["/lesson/one", "/lesson/two"])),
        ("?sceneDir=%2Flesson%2Fextra%2F", json!(["/lesson/extra/three"])),
    ] {
        let listed = room.call("GET", &format!("/scenes{query}"), Value::Null).await;
        assert_eq!((listed.status, listed.body), (200, paths), "{query}");
    }
    room.call("GET", "/scenes?sceneDir=/less", Value::Null).await.is(404, "scene directory not found");
    assert_eq!(room.call("GET", "/scenes?sceneDir=lesson", Value::Null).await.status, 400);
}

#[tokio::test]
async fn a_scene_of_the_same_path_is_overwritten() {
    let room = Room::new().await;
    let ppt = json!({"src": "https://files.example/1.png", "width": 1280.0, "height": 720.0});
    let scenes = json!([{"name": "init", "ppt": ppt}]);
    assert_eq!(room.call("POST", "/scenes", json!({"path": "/", "scenes": scenes})).await.status, 201);
    let state = room.board.control("GET", "state", Value::Null).await.body;
    assert_eq!(state["rooms"][0]["scenes"], json!([{"path": "/init", "ppt": ppt}]));
}

#[tokio::test]
async fn a_scene_that_is_not_valid_adds_none() {
    let room = Room::new().await;
    assert_eq!(room.add("/a", &["x", "x"]).await.status, 400);
    assert_eq!(room.add("/a", &["x", "y/z"]).await.status, 400);
    assert_eq!(room.add("/a", &[""]).await.status, 400);
    assert_eq!(room.add("a", &["x"]).await.status, 400);
    assert_eq!(room.call("POST", "/scenes", json!({"path": "/a"})).await.status, 400);
    assert_eq!(room.call("GET", "/scenes?sceneDir=/a", Value::Null).await.status, 404);
}

#[tokio::test]
async fn only_a_scene_that_is_there_is_switched_to() {
    let room = Room::new().await;
    room.add("/lesson", &["one"]).await;
    let switch = async |path: &str| room.call("PATCH", "/scene-state", json!({"scenePath": path})).await;
    for path in ["/lesson", "/lesson/two", "/"] {
        switch(path).await.is(404, "scene not found");
        assert_eq!(room.call("GET", "/scenes", Value::Null).await.body, json!(["/init"]));
    }
    let switched = switch("/lesson/one").await;
    assert_eq!((switched.status, switched.body), (201, json!({"currentScenePath": ["lesson", "one"]})));
    assert_eq!(room.call("GET", "/scenes", Value::Null).await.body, json!(["/lesson/one"]));
}

#[tokio::test]
async fn screenshots_are_of_a_scene_or_of_a_directory() {
    let room = Room::new().await;
    room.add("/lesson", &["one", "two"]).await;
    let one = room.call("POST", "/screenshots", json!({"width": 640, "height": 360})).await;
    assert_eq!(one.status, 201);
    assert!(one.text("key").ends_with("/init_640x360.png") && one.text("url").ends_with(&one.text("key")));
    assert!(one.body["bucket"].is_string() && one.body["region"].is_string());

    let all = async |body: Value| room.call("POST", "/screenshot-list", body).await;
    let listed = all(json!({"width": 1, "height": 1, "path": "/lesson"})).await;
    assert_eq!((listed.status, listed.body.as_array().unwrap().len()), (201, 2));
    assert_eq!(all(json!({"width": 1, "height": 1})).await.body.as_array().unwrap().len(), 1);

    assert_eq!(all(json!({"width": 1})).await.status, 400);
    assert_eq!(all(json!({"width": 0, "height": 1})).await.status, 400);
    assert_eq!(all(json!({"width": 1, "height": 1, "path": "/none"})).await.status, 404);
    let missing = json!({"width": 1, "height": 1, "path": "/lesson"});
    room.call("POST", "/screenshots", missing).await.is(404, "scene not found");
}
