//! What was created with a key goes on with it after another became active.

use std::sync::Arc;

use inkpass::{
    clock::UnixMillis,
    emulator,
    keyring::{KeyState, Keyring, Project},
    proto::{GetConversionRequest, GetRoomRequest, WatchConversionRequest},
    region::Region,
    token::{Claims, Nonce, Role, Scope},
};
use reqwest::Client;
use serde_json::Value;
use tonic::Code;

use crate::helpers::{NOW, Setup, World, assert_refused, key};

/// After a rotation: the old key signs only what names it.
fn rotated() -> Keyring {
    let keys =
        vec![(KeyState::Active, Arc::new(key("new-key"))), (KeyState::Retiring, Arc::new(key("old-key")))];
    Keyring::new(vec![Project::new("default", Some(Region::UsSv), keys)], None)
}

/// What was created before the rotation.
async fn created_with_the_old_key(world: &World, path: &str, body: &str) -> String {
    let claims = Claims { scope: Scope::Sdk, role: Role::Writer, expire_at: UnixMillis::new(NOW + 60_000) };
    let token = key("old-key").sign(&claims, &Nonce::random([5; 16]));
    let http = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = http.post(format!("{}{path}", world.upstream.base_url())).header("region", "us-sv");
    let answer = request.header("token", token.expose()).body(body.to_owned()).send().await.unwrap();
    let created: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    created["uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_strict_upstream_wants_the_key_that_created_and_a_caller_can_name_it() {
    let emulator = emulator::Settings { same_key: true, ..emulator::Settings::default() };
    let world = Setup { emulator, keyring: rotated, ..Setup::default() }.start().await;
    let room = created_with_the_old_key(&world, "/v5/rooms", "{}").await;
    let get = GetRoomRequest { uuid: room, ..Default::default() };
    let refused = world.client.rooms().get_room(get.clone()).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_REFUSED", &[]);
    world.client.rooms().get_room(GetRoomRequest { access_key: "old-key".into(), ..get }).await.unwrap();

    let file = r#"{"resource":"https://example.com/a.pdf","type":"static"}"#;
    let task = created_with_the_old_key(&world, "/v5/projector/tasks", file).await;
    let get = GetConversionRequest { uuid: task.clone(), ..Default::default() };
    let refused = world.client.conversions().get_conversion(get.clone()).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_REFUSED", &[]);
    let named = GetConversionRequest { access_key: "old-key".into(), ..get };
    world.client.conversions().get_conversion(named).await.unwrap();

    let watch = WatchConversionRequest { uuid: task, ..Default::default() };
    let refused = world.client.watch_conversion(watch.clone()).next().await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_REFUSED", &[]);
    let named = WatchConversionRequest { access_key: "old-key".into(), ..watch };
    assert!(world.client.watch_conversion(named).next().await.unwrap().is_some());
}

#[tokio::test]
async fn by_default_the_same_project_is_enough() {
    let world = Setup { keyring: rotated, ..Setup::default() }.start().await;
    let room = created_with_the_old_key(&world, "/v5/rooms", "{}").await;
    world.client.rooms().get_room(GetRoomRequest { uuid: room, ..Default::default() }).await.unwrap();
}
