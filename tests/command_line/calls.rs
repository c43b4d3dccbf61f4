//! The client commands, each in both forms of output.

use serde_json::Value;

use super::{Served, fail, run, succeed};
use crate::helpers::place::Place;

/// Runs a client command against a server, and gives its JSON.
fn json(server: &str, arguments: &[&str]) -> Value {
    let text = succeed(&[arguments, &["--server", server]].concat());
    assert!(!text.contains("_UNSPECIFIED"), "{text}");
    serde_json::from_str(&succeed(&[arguments, &["--server", server, "--output", "json"]].concat())).unwrap()
}

#[test]
fn rooms_are_read_listed_disabled_and_enabled() {
    let dev = Served::dev();
    let server = dev.server();
    let room =
        json(&server, &["room", "create", "--region", "sg"])["room"]["uuid"].as_str().unwrap().to_owned();
    assert_eq!(json(&server, &["room", "get", &room, "--region", "sg"])["room"]["uuid"], *room);
    assert_eq!(json(&server, &["room", "disable", &room, "--region", "sg"])["room"]["disabled"], true);
    assert_eq!(json(&server, &["room", "enable", &room, "--region", "sg"])["room"]["disabled"], false);
    // Each call above was made twice.
    let page = json(&server, &["room", "list", "--region", "sg", "--page-size", "1"]);
    assert_eq!(page["rooms"].as_array().unwrap().len(), 1);
    let token = page["next_page_token"].as_str().unwrap();
    let last = json(&server, &["room", "list", "--region", "sg", "--page-token", token]);
    assert_eq!((last["rooms"].as_array().unwrap().len(), &last["next_page_token"]), (1, &Value::from("")));
    let error = fail(1, &["room", "get", &room, "--region", "eu", "--server", &server]);
    assert!(error.contains("ROOM_NOT_FOUND") && error.contains("request id: "), "{error}");
    let error = fail(1, &["room", "create", "--limit", "-1", "--server", &server]);
    assert!(error.contains("limit: must not be negative"), "{error}");
}

#[test]
fn scenes_are_listed_added_switched_and_captured() {
    let dev = Served::dev();
    let server = dev.server();
    let room = json(&server, &["room", "create"])["room"]["uuid"].as_str().unwrap().to_owned();
    let image = ["--background", "https://example.com/a.png", "--width", "4", "--height", "3"];
    json(&server, &[&["scene", "add", &room, "--dir", "/lesson", "1", "2"][..], &image].concat());
    let paths = json(&server, &["scene", "list", &room, "--dir", "/lesson"])["scene_paths"].clone();
    assert_eq!(paths, serde_json::json!(["/lesson/1", "/lesson/2"]));
    assert_eq!(json(&server, &["scene", "switch", &room, "/lesson/2"])["scene_path"], "/lesson/2");
    assert!(json(&server, &["scene", "capture", &room])["screenshot"]["url"].is_string());
    let all = json(&server, &["scene", "capture", &room, "--dir", "/lesson"]);
    assert_eq!(all["screenshots"].as_array().unwrap().len(), 2);
    let error = fail(1, &["scene", "switch", &room, "/nowhere", "--server", &server]);
    assert!(error.contains("SCENE_NOT_FOUND"), "{error}");
}

#[test]
fn conversions_are_read_followed_listed_moved_and_cancelled() {
    let dev = Served::dev();
    let server = dev.server();
    let start = |resource: &str| {
        let answer = json(&server, &["conversion", "start", resource, "--format", "dynamic"]);
        answer["conversion"]["uuid"].as_str().unwrap().to_owned()
    };
    let (first, second) = (start("https://example.com/a.pptx"), start("https://example.com/b.pptx"));
    json(&server, &["conversion", "prioritize", &second, "--priority", "highest"]);
    let pending = json(&server, &["conversion", "list"])["conversions"].as_array().unwrap().len();
    assert_eq!(pending, 4, "each was started twice");
    succeed(&["conversion", "cancel", &first, "--server", &server]);
    let error = fail(1, &["conversion", "cancel", &first, "--server", &server]);
    assert!(error.contains("CONVERSION_NOT_WAITING"), "{error}");
    let cancelled = json(&server, &["conversion", "get", &first, "--vendor-json"]);
    assert_eq!(cancelled["conversion"]["status"], "CONVERSION_STATUS_CANCELLED");
    let task: Value = serde_json::from_str(cancelled["conversion"]["vendor_json"].as_str().unwrap()).unwrap();
    assert_eq!((&task["uuid"], &task["status"]), (&first.as_str().into(), &"Abort".into()));
    assert_eq!(run(&["conversion", "watch", &first, "--server", &server]).status.code(), Some(1));

    let lines = succeed(&["conversion", "watch", &second, "--server", &server, "--output", "json"]);
    let states: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(states.last().unwrap()["conversion"]["status"], "CONVERSION_STATUS_FINISHED");
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{lines}");
}

#[test]
fn every_field_of_a_conversion_has_its_flag() {
    let dev = Served::dev();
    let start = |flags: &[&str]| {
        let fixed = ["conversion", "start", "https://example.com/a.pptx", "--server", &dev.server()];
        run(&[&fixed[..], flags].concat())
    };
    let webhook = ["--webhook-endpoint", "https://example.com/hook", "--webhook-retry", "2"];
    let dynamic = ["--format", "dynamic", "--no-spa", "--image-compression-level", "3"];
    assert!(start(&[&dynamic[..], &webhook].concat()).status.success());
    assert!(start(&["--format", "static", "--output-format", "jpg", "--scale", "2"]).status.success());
    for stray in [&["--format", "dynamic", "--scale", "2"][..], &["--format", "static", "--no-spa"]] {
        assert_eq!(start(stray).status.code(), Some(64), "{stray:?}");
    }
    assert_eq!(start(&["--format", "static", "--webhook-retry", "11"]).status.code(), Some(1));
}

#[test]
fn a_batch_is_minted_from_lines_and_a_token_is_asked_what_it_permits() {
    let dev = Served::dev();
    let place = Place::new();
    let path = &*place.join("requests").into_os_string().into_string().unwrap();
    let lines = "{\"sdk\": {}, \"role\": \"ROLE_WRITER\"}\n\n{\"room\": {\"uuid\": \"r\"}, \"role\": \"ROLE_READER\"}\n";
    std::fs::write(path, lines).unwrap();
    let tokens = succeed(&["token", "batch", path, "--server", &dev.server()]);
    let [sdk, room] = &*tokens.lines().collect::<Vec<_>>() else { panic!("{tokens}") };
    assert!(sdk.starts_with("NETLESSSDK_") && room.starts_with("NETLESSROOM_"), "{tokens}");
    let verify = |token: &str, flags: &[&str]| {
        run(&[&["token", "verify", token, "--server", &dev.server()][..], flags].concat()).status.code()
    };
    assert_eq!(verify(sdk, &["--permission", "create-room"]), Some(0));
    assert_eq!(verify(room, &["--permission", "create-room"]), Some(1));
    assert_eq!(verify(sdk, &["--permission", "mint-room-token", "--mint-role", "admin"]), Some(1));
    assert_eq!(verify(room, &["--room", "r"]), Some(0));
    assert_eq!(verify(room, &["--room", "other"]), Some(1));
    assert_eq!(verify(room, &["--permission", "fly"]), Some(64));
    std::fs::write(path, "{\"rolle\": 1}\n[]\n").unwrap();
    let error = fail(64, &["token", "batch", path, "--server", &dev.server()]);
    assert!(error.contains("line 1: ") && error.contains("line 2: "), "{error}");
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&["completions", shell]);
        assert!(script.contains("prioritize") && script.contains("grant-role"), "{shell}");
    }
}
