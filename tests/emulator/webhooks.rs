//! Webhooks: what a receiver is told, and how often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use super::{NOW, Whiteboard};

/// A receiver that refuses the first `refusals` notices: its url, and all that it gets.
async fn receiver(refusals: usize) -> (String, mpsc::UnboundedReceiver<Value>) {
    let (sender, notices) = mpsc::unbounded_channel();
    let left = Arc::new(AtomicUsize::new(refusals));
    let handler = async move |body: Bytes| {
        sender.send(serde_json::from_slice(&body).unwrap()).unwrap();
        let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notices", listener.local_addr().unwrap());
    let router = Router::new().route("/notices", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, notices)
}

async fn next(notices: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    timeout(Duration::from_secs(5), notices.recv()).await.unwrap().unwrap()
}

/// Long enough for one more notice to come, if one were to come.
async fn is_silent(notices: &mut mpsc::UnboundedReceiver<Value>) -> bool {
    timeout(Duration::from_millis(700), notices.recv()).await.is_err()
}

#[tokio::test]
async fn a_success_is_told_twice_in_the_same_words() {
    let board = Whiteboard::start().await;
    let (url, mut notices) = receiver(0).await;
    let resource = "https://files.example/a.pptx";
    let order = json!({"resource": resource, "type": "dynamic", "preview": true, "webhookEndpoint": url});
    let task = board.task(order).await;
    assert!(is_silent(&mut notices).await, "it has not ended");

    board.advance(60_000);
    let notice = next(&mut notices).await;
    assert_eq!(notice["code"], 0);
    let (data, shown) = (&notice["data"], board.query(&task).await);
    assert_eq!((&data["taskId"], &data["taskType"]), (&json!(task), &json!("dynamic_conversion")));
    assert_eq!(data["noticeTimestamp"], NOW + 4_000);
    assert_eq!((&data["prefixUrl"], &data["previews"]), (&shown["prefix"], &shown["previews"]));
    assert_eq!((&data["pageCount"], &data["note"]), (&shown["pageCount"], &shown["note"]));
    assert_eq!((&data["zip"], &data["images"]), (&Value::Null, &Value::Null));
    assert_eq!(next(&mut notices).await, notice);
    assert!(is_silent(&mut notices).await);
    board.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_with_its_code_and_again_if_it_is_refused() {
    let board = Whiteboard::start().await;
    let (url, mut notices) = receiver(usize::MAX).await;
    let resource = "https://files.example/fail-2060402.pdf";
    let order = json!({"resource": resource, "type": "static", "webhookEndpoint": url, "webhookRetry": 2});
    board.task(order).await;
    board.advance(60_000);
    for _ in 0..3 {
        let notice = next(&mut notices).await;
        assert_eq!((&notice["code"], &notice["message"]), (&json!(2_060_402), &json!("fonts missing")));
        assert_eq!(notice["data"]["taskType"], "static_conversion");
    }
    assert!(is_silent(&mut notices).await);
}

#[tokio::test]
async fn a_refused_notice_comes_three_times_more_by_default() {
    let board = Whiteboard::start().await;
    let (url, mut notices) = receiver(3).await;
    let order = json!({"resource": "https://files.example/a.pdf", "type": "static", "webhookEndpoint": url});
    board.task(order).await;
    board.advance(60_000);
    // Three refused, the one that is taken, and the same once more.
    for _ in 0..5 {
        assert_eq!(next(&mut notices).await["code"], 0);
    }
    assert!(is_silent(&mut notices).await);
}

#[tokio::test]
async fn nobody_is_told_of_a_cancelled_task_and_a_stop_waits_for_no_receiver() {
    let board = Whiteboard::start().await;
    let (url, mut notices) = receiver(usize::MAX).await;
    let order = json!({"resource": "https://files.example/a.pdf", "type": "static", "webhookEndpoint": url});
    let task = board.task(order.clone()).await;
    let path = format!("/v5/projector/tasks/{task}");
    board.call("DELETE", &path, &super::sdk(inkpass::token::Role::Writer), Value::Null).await;
    board.advance(60_000);
    assert!(is_silent(&mut notices).await);

    board.task(order).await;
    timeout(Duration::from_secs(5), board.stop()).await.unwrap();
}
