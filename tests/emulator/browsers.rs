//! CORS: a page of another origin calls the emulator by `fetch`.

use inkpass::token::Role;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::{Whiteboard, read, sdk};

/// What a browser asks before it sends a call with such headers.
async fn preflight(board: &Whiteboard, path: &str, method: &str, headers: &str) -> (StatusCode, HeaderMap) {
    let asked = board
        .request("OPTIONS", path)
        .header("origin", "https://app.example")
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers);
    let answer = asked.send().await.unwrap();
    (answer.status(), answer.headers().clone())
}

#[tokio::test]
async fn a_browser_may_send_every_call_with_the_headers_that_it_needs() {
    let board = Whiteboard::start().await;
    for (method, path) in [
        ("POST", "/v5/rooms"),
        ("PATCH", "/v5/rooms/r1"),
        ("GET", "/v5/projector/tasks/t1"),
        ("PUT", "/v5/projector/tasks/t1/priority"),
        ("DELETE", "/v5/projector/tasks/t1"),
    ] {
        let (status, headers) = preflight(&board, path, method, "content-type,region,token").await;
        assert_eq!(status, 204, "{method} {path}");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["access-control-allow-headers"], "content-type,region,token");
        let methods = headers["access-control-allow-methods"].to_str().unwrap();
        assert!(methods.split(", ").any(|allowed| allowed == method), "{methods}");
    }
    let sent = board.control("GET", "requests", Value::Null).await;
    assert_eq!(sent.body, json!([]), "to ask is no call");
}

#[tokio::test]
async fn a_page_may_read_every_answer_and_every_failure() {
    let board = Whiteboard::start().await;
    board.control("POST", "faults", json!({"kind": "status", "status": 503, "path": "/v5/rooms/"})).await;
    for (path, status) in [("/v5/rooms", 200), ("/v5/rooms/r1", 503), ("/v5/rooms/r1", 404), ("/v5/x", 404)] {
        let call = board.request("GET", path).header("token", sdk(Role::Writer)).header("region", "eu");
        let answer = call.header("origin", "https://app.example").send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path} {status}");
    }
}

#[tokio::test]
async fn the_controls_are_for_no_page() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let (status, headers) = preflight(&board, "/_emulator/projects", "PUT", "content-type").await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (StatusCode::FORBIDDEN, None));
    for origin in ["https://app.example", "http://127.0.0.1", "null"] {
        for (method, control, body) in [
            ("POST", "reset", ""),
            ("POST", "faults", r#"{"kind": "status", "status": 503}"#),
            ("DELETE", "faults", ""),
            ("GET", "requests", ""),
        ] {
            // A page sends this without a preflight.
            let request = board.request(method, &format!("/_emulator/{control}")).body(body);
            let request = request.header("origin", origin).header("content-type", "text/plain");
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 403, "{origin} {method} {control}");
            assert_eq!(answer.headers().get("access-control-allow-origin"), None);
        }
    }
    let answer = board.call("GET", &format!("/v5/rooms/{room}"), &sdk(Role::Writer), Value::Null).await;
    assert_eq!(answer.status, 200, "nothing was reset, and no fault injected: {}", answer.body);

    let plain = board.request("OPTIONS", "/v5/rooms").send().await.unwrap();
    assert_eq!(plain.status(), 405, "no browser asks so");
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_does_not_read_the_controls() {
    let board = Whiteboard::start().await;
    let read_by = async |host: &str| {
        let request = board.request("GET", "/_emulator/requests").header("host", host);
        read(request).await.status
    };
    for host in ["evil.example", "evil.example:8089", "127.0.0.1.evil.example", "not a host"] {
        assert_eq!(read_by(host).await, 403, "{host}");
    }
    for host in
        ["127.0.0.1:8089", "localhost", "inkpass-emulator:8089", "inkpass-emulator.ns.svc.cluster.local"]
    {
        assert_eq!(read_by(host).await, 200, "{host}");
    }
    let vendor_s = board.request("GET", "/v5/rooms").header("token", sdk(Role::Writer));
    assert_eq!(read(vendor_s.header("host", "api.example")).await.status, 200, "its own paths have any name");
}
