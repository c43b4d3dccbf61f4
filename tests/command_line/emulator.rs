//! `emulator` alone: what its flags do.

use std::{fs, path::Path, time::Duration};

use axum::{Router, body::Bytes, routing::post};
use inkpass::token::{Claims, Nonce, Role, Scope, SigningKey};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use super::{Served, fail, succeed};

/// Starts a conversion that ends at once.
async fn convert(emulator: &Served, webhook: &str) {
    let keys = emulator.part("keys");
    let read = |name: &str| fs::read_to_string(Path::new(&keys).join(name)).unwrap().trim().to_owned();
    let key = SigningKey::new(&read("access-key"), read("secret-key").as_bytes()).unwrap();
    let claims = Claims { scope: Scope::Sdk, role: Role::Writer, expire_at: None };
    let order =
        json!({"resource": "https://files.example/a.pdf", "type": "static", "webhookEndpoint": webhook});
    let started = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
        .post(format!("http://{}/v5/projector/tasks", emulator.part("emulator")))
        .header("token", key.sign(&claims, &Nonce::random([3; 16])).expose())
        .header("region", "eu")
        .body(order.to_string());
    assert_eq!(started.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_webhook_is_sent_as_often_and_where_the_flags_say() {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let receive = async move |body: Bytes| sender.send(body).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(post(receive))).await });

    let flags = ["--emulator-listen", "127.0.0.1:0", "--waiting", "0s", "--converting", "0s"];
    let hosts = ["--webhook-copies", "3", "--webhook-hosts", "receiver.example,localhost"];
    let emulator = Served::start(&[&["emulator"][..], &flags, &hosts].concat());
    convert(&emulator, &format!("http://127.0.0.1:{port}/address")).await;
    convert(&emulator, &format!("http://localhost:{port}/name")).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let body = timeout(Duration::from_secs(20), notices.recv()).await.unwrap().unwrap();
        told.push(serde_json::from_slice::<Value>(&body).unwrap()["data"]["taskId"].clone());
    }
    assert!(told.iter().all(|task| *task == told[0]), "{told:?}");
    drop(emulator);
    assert!(notices.try_recv().is_err(), "the address is not named");
}

#[test]
fn flags_that_are_not_valid_are_refused() {
    for (flag, value) in [
        ("--webhook-copies", "0"),
        ("--webhook-copies", "11"),
        ("--webhook-hosts", "receiver:80"),
        ("--webhook-hosts", ""),
    ] {
        let error = fail(64, &["emulator", flag, value]);
        assert!(error.contains(flag), "{error}");
    }
    let help = succeed(&["emulator", "--help"]);
    assert!(help.contains("--webhook-copies <COUNT>") && help.contains("[default: loopback]"), "{help}");
}
