//! Webhooks: what a receiver is told, and how often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::StatusCode, response::Redirect, routing::post};
use inkpass::emulator::{Settings, WebhookHost};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use super::{NOW, Whiteboard};
use crate::helpers::{log::Log, until};

/// A conversion that tells a receiver of its end.
fn pdf(webhook: &str) -> Value {
    json!({"resource": "https://files.example/a.pdf", "type": "static", "webhookEndpoint": webhook})
}

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
    timeout(Duration::from_secs(20), notices.recv()).await.unwrap().unwrap()
}

/// Long enough for one more notice to come, if one were to come.
async fn is_silent(notices: &mut mpsc::UnboundedReceiver<Value>) -> bool {
    timeout(Duration::from_millis(700), notices.recv()).await.is_err()
}

#[tokio::test]
async fn an_end_is_told_twice_in_the_same_words() {
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
async fn images_are_told_by_their_urls_alone() {
    let board = Whiteboard::start().await;
    let (url, mut notices) = receiver(0).await;
    let task = board.task(pdf(&url)).await;
    board.advance(60_000);
    let (data, shown) = (next(&mut notices).await["data"].take(), board.query(&task).await);
    assert_eq!((&data["taskType"], &data["prefixUrl"]), (&json!("static_conversion"), &shown["prefix"]));
    assert_eq!(data["images"].as_object().unwrap().len(), 3);
    for (page, url) in data["images"].as_object().unwrap() {
        assert_eq!(*url, shown["images"][page]["url"], "{page}");
    }
}

#[tokio::test]
async fn each_webhook_comes_as_often_as_is_set() {
    for webhook_copies in [1, 3] {
        let board = Whiteboard::with(Settings { webhook_copies, ..Settings::default() }).await;
        let (url, mut notices) = receiver(0).await;
        let failing =
            json!({"resource": "https://files.example/fail-1.pdf", "type": "static", "webhookEndpoint": url});
        for order in [pdf(&url), failing] {
            board.task(order).await;
            board.advance(60_000);
            for _ in 0..webhook_copies {
                next(&mut notices).await;
            }
            assert!(is_silent(&mut notices).await, "{webhook_copies}");
        }
    }
}

#[tokio::test]
async fn a_webhook_is_sent_only_to_the_hosts_that_are_set() {
    let address = |text: &str| WebhookHost::Address(text.parse().unwrap());
    for (hosts, host, is_sent) in [
        (vec![WebhookHost::Loopback], "127.0.0.1", true),
        (vec![WebhookHost::Loopback], "localhost", true),
        (vec![address("127.0.0.1")], "localhost", true),
        (vec![WebhookHost::Name("localhost".into())], "localhost", true),
        (vec![WebhookHost::Name("localhost".into())], "127.0.0.1", false),
        (vec![address("127.0.0.2")], "127.0.0.1", false),
        // What a name resolves to is what counts.
        (vec![address("127.0.0.2"), WebhookHost::Name("receiver.example".into())], "localhost", false),
        (vec![], "localhost", false),
    ] {
        let log = Log::start();
        let board = Whiteboard::with(Settings { webhook_hosts: hosts.clone(), ..Settings::default() }).await;
        let (url, mut notices) = receiver(0).await;
        board.task(pdf(&url.replace("127.0.0.1", host))).await;
        board.advance(60_000);
        if is_sent {
            next(&mut notices).await;
        } else {
            until(async || log.count("--webhook-hosts does not name its host") == 1).await;
            assert!(notices.try_recv().is_err(), "{hosts:?} {host}");
        }
    }
}

#[tokio::test]
async fn by_default_no_other_machine_is_called_and_never_a_redirect_followed() {
    let log = Log::start();
    let board = Whiteboard::start().await;
    board.task(pdf("http://169.254.169.254/latest/meta-data")).await;
    board.advance(60_000);
    until(async || log.count("--webhook-hosts does not name its host") == 1).await;

    let (url, mut notices) = receiver(0).await;
    let redirect = Router::new().fallback(async move || Redirect::temporary(&url));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut order = pdf(&format!("http://{}", listener.local_addr().unwrap()));
    order["webhookRetry"] = json!(1);
    tokio::spawn(async move { axum::serve(listener, redirect).await });
    board.task(order).await;
    board.advance(60_000);
    until(async || log.count("a webhook was not delivered") == 1).await;
    assert!(notices.try_recv().is_err());
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
    board.task(pdf(&url)).await;
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
    let task = board.task(pdf(&url)).await;
    let path = format!("/v5/projector/tasks/{task}");
    board.call("DELETE", &path, &super::sdk(inkpass::token::Role::Writer), Value::Null).await;
    board.advance(60_000);
    assert!(is_silent(&mut notices).await);

    board.task(pdf(&url)).await;
    timeout(Duration::from_secs(5), board.stop()).await.unwrap();
}
