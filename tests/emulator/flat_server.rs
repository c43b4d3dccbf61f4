//! The requests of a public consumer, as its code shows them: netless-io/flat-server and its web client.
//!
//! Its server signs SDK tokens of role admin that live for ten minutes, and gives out Room and Task tokens that never
//! expire. It sends `token` and `region` on each call, and reads `uuid` and `status` of the answers.

use std::time::Duration;

use inkpass::{
    clock::UnixMillis,
    token::{Claims, Lifetime, Nonce, Role, Scope, Uuid},
};
use serde_json::{Value, json};

use super::{Answer, NOW, Whiteboard, key, read};

/// Where its users may open rooms, and where it converts files.
const REGIONS: [&str; 5] = ["cn-hz", "us-sv", "sg", "in-mum", "gb-lon"];
const CONVERT_REGION: &str = "cn-hz";

fn token(scope: Scope<'_>, role: Role, lifespan: Option<Duration>) -> String {
    let expire_at = lifespan.and_then(|lifespan| {
        let now = UnixMillis::new(NOW).unwrap();
        Lifetime::ttl(lifespan).unwrap().expire_at(now).unwrap()
    });
    key("one-a").sign(&Claims { scope, role, expire_at }, &Nonce::random([9; 16])).expose().to_owned()
}

fn server_token() -> String {
    token(Scope::Sdk, Role::Admin, Some(Duration::from_mins(10)))
}

/// A call of its server, with the headers of its HTTP client.
async fn send(board: &Whiteboard, method: &str, path: &str, region: Option<&str>, body: Value) -> Answer {
    let mut call = board
        .request(method, path)
        .header("accept", "application/json, text/plain, */*")
        .header("user-agent", "axios/0.21.4")
        .header("token", server_token());
    if let Some(region) = region {
        call = call.header("region", region);
    }
    if !body.is_null() {
        call = call.header("content-type", "application/json").body(body.to_string());
    }
    read(call).await
}

async fn convert(board: &Whiteboard, body: Value) -> Answer {
    send(board, "POST", "/v5/projector/tasks", Some(CONVERT_REGION), body).await
}

#[tokio::test]
async fn its_rooms_are_made_in_every_region_and_banned() {
    let board = Whiteboard::start().await;
    // Its first version named no region.
    for region in REGIONS.map(Some).into_iter().chain([None]) {
        let order = json!({"isRecord": true, "limit": 0});
        let made = send(&board, "POST", "/v5/rooms", region, order).await;
        assert_eq!((made.status, &made.body["isRecord"]), (201, &json!(true)), "{region:?}");
        let path = format!("/v5/rooms/{}", made.text("uuid"));
        // It may ban a room twice: when its owner stops it, and when its time is over.
        for _ in 0..2 {
            let banned = send(&board, "PATCH", &path, region, json!({"isBan": true})).await;
            assert_eq!((banned.status, &banned.body["isBan"]), (201, &json!(true)), "{region:?}");
            for logged in ["uuid", "teamUUID", "isRecord", "limit", "createdAt"] {
                assert_eq!(banned.body[logged], made.body[logged]);
            }
        }
        let writer = token(Scope::Room(Uuid::new(&made.text("uuid")).unwrap()), Role::Writer, None);
        let region = region.unwrap_or("cn-hz");
        assert_eq!(board.call_in(region, "GET", &path, &writer, Value::Null).await.body["isBan"], true);
    }
}

#[tokio::test]
async fn its_conversions_are_followed_to_their_end() {
    let board = Whiteboard::start().await;
    let resource = "https://files.example/lesson.pptx";
    // It names no type, which the vendor's page requires.
    let untyped = convert(&board, json!({"resource": resource, "preview": true, "pack": false})).await;
    assert_eq!(untyped.status, 400);
    assert!(untyped.text("message").contains("`type`"), "{}", untyped.body);

    let order = json!({
        "resource": resource, "type": "dynamic", "preview": true, "pack": false, "webhookRetry": 1,
        "targetStorageDriver": {"bucket": "b", "provider": "aliyun", "region": "oss-cn-hangzhou"},
    });
    let started = convert(&board, order).await;
    assert_eq!((started.status, &started.body["status"]), (201, &json!("Waiting")));
    let path = format!("/v5/projector/tasks/{}", started.text("uuid"));
    let viewer = token(Scope::Task(Uuid::new(&started.text("uuid")).unwrap()), Role::Reader, None);
    let mut seen = Vec::new();
    for millis in [0, 2_500, 1_500] {
        board.advance(millis);
        let by_server = send(&board, "GET", &path, Some(CONVERT_REGION), Value::Null).await;
        // Its web client asks for itself, from a page.
        let by_page = board.request("GET", &path).header("token", &viewer).header("region", CONVERT_REGION);
        let by_page = read(by_page.header("origin", "https://web.flat.example")).await;
        assert_eq!((by_server.status, &by_server.body), (200, &by_page.body));
        let shown = |field: &str| by_page.body[field].clone();
        seen.push((shown("status"), shown("convertedPercentage"), shown("prefix")));
    }
    let prefix = json!("https://conversions-cn-hz.emulator.invalid/dynamicConvert");
    assert_eq!(
        seen,
        [
            (json!("Waiting"), Value::Null, Value::Null),
            (json!("Converting"), json!(50), prefix.clone()),
            (json!("Finished"), json!(100), prefix),
        ]
    );
}

#[tokio::test]
async fn its_calls_of_the_older_conversion_service_are_told_that_there_is_none() {
    let board = Whiteboard::start().await;
    let order = json!({
        "resource": "https://files.example/a.pdf", "type": "static", "pack": true, "canvasVersion": false, "scale": 2.4,
    });
    let message = "the older conversion service is not emulated: use /v5/projector/tasks";
    for (method, path, body) in [
        ("POST", "/v5/services/conversion/tasks", order),
        ("GET", "/v5/services/conversion/tasks/t1?type=static", Value::Null),
    ] {
        send(&board, method, path, Some(CONVERT_REGION), body).await.is(501, message);
    }
}
