//! File conversions: their progress, their results, their queue.

use std::time::Duration;

use inkpass::{
    emulator::Settings,
    token::{Kind, Role},
};
use serde_json::{Value, json};

use super::{Whiteboard, sdk, token_of};

fn pdf() -> Value {
    json!({"resource": "https://files.example/a.pdf", "type": "static"})
}

fn pptx() -> Value {
    json!({"resource": "https://files.example/a.pptx", "type": "dynamic"})
}

#[tokio::test]
async fn a_static_conversion_becomes_images() {
    let board = Whiteboard::start().await;
    let mut order = pdf();
    order["outputFormat"] = json!("jpg");
    order["scale"] = json!(3.0);
    let started = board.call("POST", "/v5/projector/tasks", &sdk(Role::Writer), order).await;
    let task = started.text("uuid");
    assert_eq!(started.body, json!({"uuid": task, "type": "static", "status": "Waiting"}));
    assert_eq!(task.len(), 32);

    assert_eq!(board.query(&task).await, started.body);
    board.advance(2_500);
    let storage = "https://conversions-eu.emulator.invalid";
    let running = json!({"uuid": task, "type": "static", "status": "Converting", "convertedPercentage": 50, "prefix": storage});
    assert_eq!(board.query(&task).await, running);
    board.advance(1_500);
    let done = board.query(&task).await;
    assert_eq!((&done["status"], &done["convertedPercentage"]), (&json!("Finished"), &json!(100)));
    assert_eq!(done["pageCount"], 3);
    assert_eq!(done["images"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    let image = &done["images"]["2"];
    assert_eq!((&image["width"], &image["height"]), (&json!(1280), &json!(720)));
    assert_eq!(
        (&done["prefix"], &image["url"]),
        (&json!(storage), &json!(format!("{storage}/staticConvert/{task}/2.jpg")))
    );
    assert!(done.get("note").is_none() && done.get("previews").is_none());
}

#[tokio::test]
async fn a_dynamic_conversion_becomes_pages_with_previews_if_asked() {
    let board = Whiteboard::start().await;
    let mut order = pptx();
    order["preview"] = json!(true);
    let (with, without) = (board.task(order).await, board.task(pptx()).await);
    board.advance(7_000);
    let done = board.query(&with).await;
    assert_eq!(done["status"], "Finished");
    assert!(done["prefix"].is_string() && done["note"].is_string() && done["images"].is_null());
    assert!(done["zip"].is_string() && done["resources"].is_array());
    assert_eq!(done["previews"].as_object().unwrap().len(), 3);
    let done = board.query(&without).await;
    assert_eq!((&done["status"], &done["previews"]), (&json!("Finished"), &Value::Null));
}

#[tokio::test]
async fn a_resource_that_the_type_does_not_take_fails_with_its_code() {
    let board = Whiteboard::start().await;
    for (resource, r#type, code, message) in [
        ("a.pdf", "dynamic", "2010202", "dynamic conversion only supports pptx"),
        ("a.exe", "static", "2010201", "unsupported file format"),
        ("fail-2060402.pptx", "dynamic", "2060402", "fonts missing"),
        ("fail-1234567.pptx", "dynamic", "1234567", "unknown"),
    ] {
        let resource = format!("https://files.example/{resource}");
        let task = board.task(json!({"resource": resource, "type": r#type})).await;
        assert_eq!(board.query(&task).await["status"], "Waiting");
        board.advance(10_000);
        let failed = json!({"uuid": task, "type": r#type, "status": "Fail", "errorCode": code, "errorMessage": message});
        assert_eq!(board.query(&task).await, failed);
    }
}

#[tokio::test]
async fn one_runs_for_each_type_region_and_project_and_the_others_wait() {
    let board = Whiteboard::start().await;
    let first = board.task(pdf()).await;
    let second = board.task(pdf()).await;
    let dynamic = board.task(pptx()).await;
    board.call_in("sg", "POST", "/v5/projector/tasks", &sdk(Role::Writer), pdf()).await;
    board.advance(1_000);
    let list = board.call("GET", "/v5/projector/tasks", &sdk(Role::Writer), Value::Null).await;
    assert_eq!(
        list.body,
        json!([
            {"taskId": dynamic, "status": 1},
            {"taskId": first, "status": 1},
            {"taskId": second, "status": 0},
        ])
    );
    let elsewhere = board.call_in("sg", "GET", "/v5/projector/tasks", &sdk(Role::Writer), Value::Null).await;
    assert_eq!(elsewhere.body[0]["status"], 1);
    let foreign = token_of("two-a", Kind::Sdk, "", Role::Writer);
    let path = format!("/v5/projector/tasks/{first}");
    let answer = board.call("GET", &path, &foreign, Value::Null).await;
    answer.is(404, "task not found");
    assert_eq!(answer.body["code"], 2_010_605);

    board.advance(3_000);
    assert_eq!(board.query(&first).await["status"], "Finished");
    assert_eq!(board.query(&second).await["status"], "Converting");
}

#[tokio::test]
async fn a_priority_moves_what_waits() {
    let board = Whiteboard::start().await;
    let (first, second, third) = (board.task(pdf()).await, board.task(pdf()).await, board.task(pdf()).await);
    board.advance(1_000);
    let prioritize = async |task: &str, priority: &str| {
        let path = format!("/v5/projector/tasks/{task}/priority");
        board.call("PUT", &path, &sdk(Role::Writer), json!({"priority": priority})).await
    };
    let answer = prioritize(&third, "highest").await;
    assert_eq!((answer.status, answer.body), (200, json!({"taskId": third, "uuid": third, "success": true})));
    let answer = prioritize(&first, "lowest").await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"taskId": first, "uuid": first, "success": false}))
    );
    assert_eq!(prioritize(&second, "middle").await.status, 400);
    prioritize("none", "highest").await.is(404, "task not found");

    board.advance(3_000);
    assert_eq!(board.query(&third).await["status"], "Converting");
    assert_eq!(board.query(&second).await["status"], "Waiting");
}

#[tokio::test]
async fn a_cancelled_task_aborts_and_makes_room() {
    let board = Whiteboard::start().await;
    let (running, next) = (board.task(pdf()).await, board.task(pdf()).await);
    board.advance(1_500);
    let cancel = async |task: &str| {
        board.call("DELETE", &format!("/v5/projector/tasks/{task}"), &sdk(Role::Writer), Value::Null).await
    };
    let answer = cancel(&running).await;
    assert_eq!((answer.status, answer.body), (200, json!({"taskId": running, "success": true})));
    assert_eq!(cancel(&running).await.body["success"], false);
    assert_eq!(board.query(&running).await, json!({"uuid": running, "type": "static", "status": "Abort"}));
    assert_eq!(board.query(&next).await["status"], "Converting");
}

#[tokio::test]
async fn a_full_queue_refuses_one_more_of_its_type() {
    let board = Whiteboard::with(Settings { queue_limit: 2, ..Settings::default() }).await;
    let start = async |body| board.call("POST", "/v5/projector/tasks", &sdk(Role::Writer), body).await;
    assert_eq!((start(pdf()).await.status, start(pdf()).await.status), (201, 201));
    let refused = start(pdf()).await;
    refused.is(403, "number of tasks exceeds limit");
    assert_eq!(refused.body["code"], 2_010_203);
    assert_eq!(start(pptx()).await.status, 201);
    board.advance(4_000);
    assert_eq!(start(pdf()).await.status, 201);
}

#[tokio::test]
async fn a_task_is_forgotten_after_seven_days() {
    let board = Whiteboard::start().await;
    let task = board.task(pdf()).await;
    let path = format!("/v5/projector/tasks/{task}");
    let token = {
        use inkpass::token::{Claims, Nonce, Scope};
        let claims = Claims { scope: Scope::Sdk, role: Role::Reader, expire_at: None };
        super::key("one-a").sign(&claims, &Nonce::random([1; 16])).expose().to_owned()
    };
    board.clock.advance(Duration::from_hours(7 * 24) - Duration::from_millis(1));
    assert_eq!(board.call("GET", &path, &token, Value::Null).await.body["status"], "Finished");
    board.advance(1);
    let gone = board.call("GET", &path, &token, Value::Null).await;
    gone.is(404, "task not found");
    assert_eq!(gone.body["code"], 2_010_605);
}

#[tokio::test]
async fn what_a_client_writes_as_null_is_left_out() {
    let board = Whiteboard::start().await;
    let optional = [
        "preview",
        "scale",
        "outputFormat",
        "webhookEndpoint",
        "webhookRetry",
        "imageCompressionLevel",
        "buildSpa",
    ];
    for field in optional {
        let mut order = pdf();
        order[field] = Value::Null;
        let answer = board.call("POST", "/v5/projector/tasks", &sdk(Role::Writer), order).await;
        assert_eq!(answer.status, 201, "{field}: {}", answer.body);
    }
    let room = json!({"isRecord": null, "limit": null});
    let answer = board.call("POST", "/v5/rooms", &sdk(Role::Writer), room).await;
    assert_eq!((answer.status, &answer.body["limit"]), (201, &json!(0)));
}

#[tokio::test]
async fn an_order_that_is_not_valid_is_refused() {
    let board = Whiteboard::start().await;
    for (field, value) in [
        ("resource", json!("ftp://files.example/a.pdf")),
        ("resource", json!("a.pdf")),
        ("resource", Value::Null),
        ("type", json!("other")),
        ("type", Value::Null),
        ("scale", json!(0.09)),
        ("scale", json!(3.01)),
        ("outputFormat", json!("gif")),
        ("webhookEndpoint", json!("nowhere")),
        ("webhookRetry", json!(11)),
        ("webhookRetry", json!(-1)),
        ("imageCompressionLevel", json!(5)),
        ("preview", json!("yes")),
        ("buildSpa", json!(1)),
    ] {
        let mut order = pdf();
        order[field] = value;
        let answer = board.call("POST", "/v5/projector/tasks", &sdk(Role::Writer), order.clone()).await;
        assert_eq!(answer.status, 400, "{order}");
        assert!(answer.body["message"].is_string());
    }
}
