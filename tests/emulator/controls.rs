//! The emulator's own controls.

use std::time::{Duration, Instant};

use inkpass::token::{Kind, Role};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Whiteboard, read, sdk, token_of};
use crate::helpers::canary::secret_of;

async fn rooms(board: &Whiteboard) -> usize {
    let answer = board.call("GET", "/v5/rooms", &sdk(Role::Writer), Value::Null).await;
    answer.body.as_array().unwrap().len()
}

#[tokio::test]
async fn a_status_fault_spoils_the_next_calls_that_fit_and_carries_nothing_out() {
    let board = Whiteboard::start().await;
    let fault = json!({"method": "POST", "path": "/v5/rooms", "count": 2, "kind": "status", "status": 503});
    assert_eq!(board.control("POST", "faults", fault).await.status, 201);
    assert_eq!(rooms(&board).await, 0, "another method");
    for status in [503, 503, 201] {
        let answer = board.call("POST", "/v5/rooms", &sdk(Role::Writer), json!({})).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(rooms(&board).await, 1);

    let fault = json!({"kind": "status", "status": 500, "count": 100});
    board.control("POST", "faults", fault).await;
    assert_eq!(board.call("GET", "/v5/rooms", "", Value::Null).await.status, 500);
    assert_eq!(board.control("DELETE", "faults", Value::Null).await.status, 200);
    assert_eq!(rooms(&board).await, 1);
}

#[tokio::test]
async fn a_fault_can_spoil_a_share_of_the_calls() {
    let board = Whiteboard::start().await;
    let statuses = async |calls: usize| {
        let mut statuses = Vec::new();
        for _ in 0..calls {
            statuses.push(board.call("GET", "/v5/rooms", &sdk(Role::Writer), Value::Null).await.status);
        }
        statuses
    };
    let fault = async |fault: Value| board.control("POST", "faults", fault).await.status;
    assert_eq!(fault(json!({"kind": "status", "status": 503, "share": 0.25})).await, 201);
    assert_eq!(statuses(8).await, [200, 200, 200, 503, 200, 200, 200, 503]);
    // What it lets through is the next one's.
    assert_eq!(fault(json!({"kind": "status", "status": 500, "share": 0.5, "count": 1})).await, 201);
    assert_eq!(statuses(8).await, [200, 500, 200, 503, 200, 200, 200, 503]);
    board.control("DELETE", "faults", Value::Null).await;
    fault(json!({"kind": "status", "status": 503, "share": 0.1, "path": "/v5/rooms"})).await;
    let failed = statuses(1_000).await.into_iter().filter(|status| *status == 503).count();
    assert_eq!(failed, 100);
}

#[tokio::test]
async fn a_reset_closes_the_connection_after_the_call_was_carried_out() {
    let board = Whiteboard::start().await;
    board.control("POST", "faults", json!({"path": "/v5/rooms", "kind": "reset"})).await;
    let sent = board.request("POST", "/v5/rooms").header("token", sdk(Role::Writer)).header("region", "eu");
    let error = sent.send().await.unwrap_err();
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
    assert!(format!("{error:?}").contains("IncompleteMessage"), "{error:?}");
    assert_eq!(rooms(&board).await, 1);
}

#[tokio::test]
async fn a_truncated_answer_ends_before_its_length() {
    let board = Whiteboard::start().await;
    board.control("POST", "faults", json!({"path": "/v5/rooms", "kind": "truncate"})).await;
    let sent = board.request("POST", "/v5/rooms").header("token", sdk(Role::Writer)).header("region", "eu");
    let mut response = sent.send().await.unwrap();
    assert_eq!(response.status(), 201);
    let promised = response.content_length().unwrap();
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(chunk) => received += chunk.expect("the end is an error").len() as u64,
            Err(error) => break error,
        }
    };
    assert!(received > 0 && received < promised, "{received} of {promised}: {error:?}");
    assert_eq!(rooms(&board).await, 1);
}

#[tokio::test]
async fn an_html_fault_answers_as_a_proxy_does() {
    let board = Whiteboard::start().await;
    board.control("POST", "faults", json!({"kind": "html"})).await;
    board.control("POST", "faults", json!({"kind": "html", "status": 502})).await;
    for status in [200, 502] {
        let sent =
            board.request("POST", "/v5/rooms").header("token", sdk(Role::Writer)).header("region", "eu");
        let response = sent.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(response.text().await.unwrap().starts_with("<html>"));
    }
    assert_eq!(rooms(&board).await, 0);
}

#[tokio::test]
async fn a_delay_comes_after_the_call_was_carried_out() {
    let board = Whiteboard::start().await;
    let fault = json!({"method": "POST", "path": "/v5/rooms", "kind": "delay", "delay_ms": 300});
    board.control("POST", "faults", fault.clone()).await;
    let start = Instant::now();
    board.room().await;
    assert!(start.elapsed() >= Duration::from_millis(300));

    board.control("POST", "faults", fault).await;
    let sent = board.request("POST", "/v5/rooms").header("token", sdk(Role::Writer)).header("region", "eu");
    sent.timeout(Duration::from_millis(100)).send().await.unwrap_err();
    assert_eq!(rooms(&board).await, 2);
}

#[tokio::test]
async fn a_stop_cuts_delays_short() {
    let board = Whiteboard::start().await;
    board.control("POST", "faults", json!({"kind": "delay", "delay_ms": 3_600_000})).await;
    let delayed = board.request("GET", "/v5/rooms").header("token", sdk(Role::Writer));
    let delayed = tokio::spawn(read(delayed));
    while board.control("GET", "requests", Value::Null).await.body == json!([]) {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(5), board.stop()).await.unwrap();
    assert_eq!(delayed.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_request_that_never_ends() {
    let board = Whiteboard::start().await;
    let mut slow = TcpStream::connect(board.base_url.trim_start_matches("http://")).await.unwrap();
    slow.write_all(b"POST /v5/rooms HTTP/1.1\r\n").await.unwrap();
    // The connection is known to be accepted: a later one is.
    board.room().await;
    tokio::time::timeout(Duration::from_secs(5), board.stop()).await.unwrap();
}

#[tokio::test]
async fn requests_show_what_was_sent_and_no_secret() {
    let board = Whiteboard::start().await;
    let credentials = json!({"accessKey": "one-a", "secretAccessKey": secret_of("one-a"), "role": "reader"});
    let minted = board.call("POST", "/v5/tokens/teams", "", credentials).await;
    board.control("POST", "faults", json!({"kind": "status", "status": 500})).await;
    let token = sdk(Role::Writer);
    board.call("POST", "/v5/rooms", &token, json!({"limit": 3})).await;
    read(board.request("GET", "/v5/rooms?limit=1")).await;

    let requests = board.control("GET", "requests", Value::Null).await;
    let text = requests.body.to_string();
    assert_eq!(
        requests.body,
        json!([
            {
                "method": "POST", "path": "/v5/tokens/teams", "query": null, "region": "eu",
                "body": {"accessKey": "one-a", "role": "reader"}, "token_kind": null, "token_role": null,
            },
            {
                "method": "POST", "path": "/v5/rooms", "query": null, "region": "eu",
                "body": {"limit": 3}, "token_kind": "sdk", "token_role": "writer",
            },
            {
                "method": "GET", "path": "/v5/rooms", "query": "limit=1", "region": null,
                "body": null, "token_kind": null, "token_role": null,
            },
        ])
    );
    for secret in [&token, &*secret_of("one-a"), minted.body.as_str().unwrap()] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn the_state_shows_rooms_and_tasks_with_where_they_are() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let task = board.task(json!({"resource": "https://files.example/a.pdf", "type": "static"})).await;
    let state = board.control("GET", "state", Value::Null).await.body;
    let keys = json!([
        {"access_key": "one-a", "state": "active"},
        {"access_key": "one-b", "state": "active"},
    ]);
    assert_eq!((&state["projects"][0]["name"], &state["projects"][0]["keys"]), (&json!("one"), &keys));
    let shown = &state["rooms"][0];
    assert_eq!((&shown["uuid"], &shown["project"]), (&json!(room), &json!("one")));
    assert_eq!((&shown["region"], &shown["access_key"]), (&json!("eu"), &json!("one-a")));
    assert_eq!(shown["scenes"], json!([{"path": "/init"}]));
    assert_eq!((&state["tasks"][0]["uuid"], &state["tasks"][0]["status"]), (&json!(task), &json!("Waiting")));
    assert!(!state.to_string().contains("secret"));
}

#[tokio::test]
async fn a_feature_can_be_switched_off_in_a_region() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let switch = json!({"region": "eu", "conversion": false, "screenshots": false});
    assert_eq!(board.control("PUT", "features", switch).await.status, 200);
    let pdf = json!({"resource": "https://files.example/a.pdf", "type": "static"});
    let size = json!({"width": 1, "height": 1});
    for (path, body) in [
        ("/v5/projector/tasks".to_owned(), &pdf),
        (format!("/v5/rooms/{room}/screenshots"), &size),
        (format!("/v5/rooms/{room}/screenshot-list"), &size),
    ] {
        let answer = board.call("POST", &path, &sdk(Role::Writer), body.clone()).await;
        let team = &board.control("GET", "state", Value::Null).await.body["projects"][0]["teamUUID"];
        answer.is(403, &format!("team not registration with uuid: {}", team.as_str().unwrap()));
        assert_eq!(answer.body["code"], 2_010_606);
    }
    let elsewhere = board.call_in("sg", "POST", "/v5/projector/tasks", &sdk(Role::Writer), pdf.clone()).await;
    assert_eq!(elsewhere.status, 201);

    board.control("PUT", "features", json!({"region": "eu", "conversion": true})).await;
    board.task(pdf).await;
    let path = format!("/v5/rooms/{room}/screenshots");
    assert_eq!(board.call("POST", &path, &sdk(Role::Writer), size).await.status, 403);
}

#[tokio::test]
async fn a_key_or_a_whole_project_can_be_taken_out_of_use() {
    let board = Whiteboard::start().await;
    let set = async |state: &str| {
        board.control("PUT", "projects", json!({"access_key": "one-a", "state": state})).await
    };
    let statuses = async || {
        let mut statuses = Vec::new();
        for key in ["one-a", "one-b", "two-a"] {
            let token = token_of(key, Kind::Sdk, "", Role::Writer);
            let answer = board.call("GET", "/v5/rooms", &token, Value::Null).await;
            if answer.status != 200 {
                answer.is(401, "token access team forbidden");
            }
            statuses.push(answer.status);
        }
        statuses
    };
    for (state, expected) in
        [("revoked", [401, 200, 200]), ("disabled", [401, 401, 200]), ("active", [200, 200, 200])]
    {
        assert_eq!(set(state).await.status, 200);
        assert_eq!(statuses().await, expected, "{state}");
    }
}

#[tokio::test]
async fn a_reset_goes_back_to_the_start() {
    let board = Whiteboard::start().await;
    board.room().await;
    board.task(json!({"resource": "https://files.example/a.pdf", "type": "static"})).await;
    let fresh = board.control("GET", "state", Value::Null).await.body["projects"].clone();
    board.control("PUT", "projects", json!({"access_key": "one-a", "state": "disabled"})).await;
    board.control("PUT", "features", json!({"region": "eu", "conversion": false})).await;
    board.control("POST", "faults", json!({"kind": "status", "status": 500})).await;

    assert_eq!(board.control("POST", "reset", Value::Null).await.status, 201);
    assert_eq!(board.control("GET", "requests", Value::Null).await.body, json!([]));
    let state = board.control("GET", "state", Value::Null).await.body;
    assert_eq!(state, json!({"projects": fresh, "rooms": [], "tasks": []}));
    board.task(json!({"resource": "https://files.example/a.pdf", "type": "static"})).await;
}

#[tokio::test]
async fn a_control_that_is_not_valid_is_refused_with_a_sentence() {
    let board = Whiteboard::start().await;
    for (method, name, body) in [
        ("POST", "faults", json!({})),
        ("POST", "faults", json!({"kind": "other"})),
        ("POST", "faults", json!({"kind": "reset", "extra": 1})),
        ("POST", "faults", json!({"kind": "reset", "status": 500})),
        ("POST", "faults", json!({"kind": "reset", "delay_ms": 5})),
        ("POST", "faults", json!({"kind": "reset", "count": 0})),
        ("POST", "faults", json!({"kind": "reset", "share": 0})),
        ("POST", "faults", json!({"kind": "reset", "share": 1.01})),
        ("POST", "faults", json!({"kind": "reset", "share": -0.5})),
        ("POST", "faults", json!({"kind": "reset", "share": "half"})),
        ("POST", "faults", json!({"kind": "reset", "method": "BREW"})),
        ("POST", "faults", json!({"kind": "status"})),
        ("POST", "faults", json!({"kind": "status", "status": 99})),
        ("POST", "faults", json!({"kind": "delay"})),
        ("PUT", "features", json!({"region": "mars", "conversion": true})),
        ("PUT", "features", json!({"region": "eu"})),
        ("PUT", "features", json!({"region": "eu", "recording": true})),
        ("PUT", "projects", json!({"access_key": "nobody", "state": "active"})),
        ("PUT", "projects", json!({"access_key": "one-a", "state": "gone"})),
        ("PUT", "projects", json!({"access_key": "one-a"})),
    ] {
        let answer = board.control(method, name, body.clone()).await;
        assert_eq!(answer.status, 400, "{method} {name} {body}");
        assert!(answer.text("message").contains(' '), "{}", answer.body);
    }
    board.control("GET", "nothing", Value::Null).await.is(404, "no such path");
}
