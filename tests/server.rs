//! The server: health, reflection, the admin listener, request ids, and the drain.

use std::time::{Duration, Instant};

use inkpass::proto::{CreateRoomRequest, IssueTokenRequest, Role};
use serde_json::json;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    decisions::room,
    helpers::{
        World,
        raw::{Raw, message, whole},
    },
};

async fn health(channel: Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.into() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

async fn admin(world: &World, path: &str) -> u16 {
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    http.get(format!("http://{}{path}", world.admin)).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_service_is_healthy_once_the_server_is_ready() {
    let world = World::start().await;
    for service in inkpass::methods::SERVICES.into_iter().chain([""]) {
        assert_eq!(health(world.client.channel(), service).await, ServingStatus::Serving, "{service}");
    }
    assert_eq!((admin(&world, "/livez").await, admin(&world, "/readyz").await), (200, 200));
}

#[tokio::test]
async fn reflection_lists_every_service() {
    let world = World::start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(world.client.channel());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in inkpass::methods::SERVICES {
        assert!(names.iter().any(|name| name == service), "{service} in {names:?}");
    }
}

#[tokio::test]
async fn every_response_has_a_request_id_the_caller_s_own_if_it_is_valid() {
    let world = World::start().await;
    let ask = async |id: Option<&str>| {
        let mut request = tonic::Request::new(IssueTokenRequest::default());
        if let Some(id) = id {
            request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        }
        let status = world.client.tokens().issue_token(request).await.unwrap_err();
        status.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    let (first, second) = (ask(None).await, ask(None).await);
    assert_eq!(first.len(), 36);
    assert_ne!(first, second);
    assert_eq!(ask(Some("my-id.1")).await, "my-id.1");
    for bad in ["a b", "\"quoted\"", &"x".repeat(65)] {
        assert_eq!(ask(Some(bad)).await.len(), 36, "{bad}");
    }
}

#[tokio::test]
async fn a_stop_waits_for_no_idle_or_silent_client_and_no_watch() {
    let world = World::start().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Raw::silent(world.grpc).await);
        silent.push(Raw::connect(world.grpc).await);
        silent.push(Raw::silent(world.admin).await);
    }
    let mut idle = Raw::connect(world.grpc).await;
    idle.whole_call("/grpc.health.v1.Health/Check", &[], &message(0, 0)).await;
    idle.until_ended(1).await;
    let watch = HealthClient::new(world.client.channel()).watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let began = Instant::now();
    world.stop.send(()).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none(), "the watch ends");
    world.ended.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_waits_for_no_client_that_takes_no_answer_or_sends_half_a_call() {
    const ISSUE_TOKEN: &str = "/inkpass.v1.TokenService/IssueToken";
    let world = World::start().await;
    let issue = whole(&room("r1", Role::Writer));
    let (mut zero_window, mut half) =
        (Raw::with_settings(world.grpc, &[(4, 0)]).await, Raw::connect(world.grpc).await);
    for _ in 0..5 {
        zero_window.whole_call(ISSUE_TOKEN, &[], &issue).await;
        half.call(ISSUE_TOKEN, &[], &issue[..issue.len() - 1]).await;
    }
    half.call("/grpc.health.v1.Health/Check", &[], &message(10, 1)).await;
    assert!(zero_window.ping().await && half.ping().await);
    let began = Instant::now();
    world.stop.send(()).unwrap();
    world.ended.await.unwrap().unwrap();
    // Some 1.5 s, and not the whole 15 s.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_waits_for_a_call_that_is_worked_at_though_its_client_is_silent() {
    let World { upstream, grpc, stop, ended, .. } = World::start().await;
    upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 4000 })).await;
    let mut raw = Raw::connect(grpc).await;
    raw.whole_call("/inkpass.v1.RoomService/CreateRoom", &[], &message(0, 0)).await;
    // Another one of the same connection waits for its client.
    raw.call("/inkpass.v1.TokenService/IssueToken", &[], &message(10, 1)).await;
    while upstream.requests().await.is_empty() {
        tokio::task::yield_now().await;
    }
    raw.falls_silent();
    stop.send(()).unwrap();
    raw.until_ended(1).await;
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_lets_calls_in_flight_finish_and_takes_no_new_ones() {
    let World { client, upstream, admin, grpc, stop, ended, .. } = World::start().await;
    upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 1500 })).await;
    let mut rooms = client.rooms();
    let call = tokio::spawn(async move { rooms.create_room(CreateRoomRequest::default()).await });
    while upstream.requests().await.is_empty() {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let readyz = async || {
        http.get(format!("http://{admin}/readyz")).send().await.map(|answer| answer.status().as_u16())
    };
    while readyz().await.unwrap() != 503 {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished(), "the server is not ready while the call is still under way");
    call.await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(grpc).await.is_err());
    assert!(readyz().await.is_err());
}
