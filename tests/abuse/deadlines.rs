//! Deadlines of calls that go upstream.

use std::time::{Duration, Instant};

use inkpass::proto::CreateRoomRequest;
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::{
    decisions::{POLICY, TestService, until},
    helpers::{assert_refused, raw::message},
};

fn create(timeout_ms: u64) -> Request<CreateRoomRequest> {
    let mut request = Request::new(CreateRoomRequest::default());
    request.metadata_mut().insert("grpc-timeout", format!("{timeout_ms}m").parse().unwrap());
    request
}

#[tokio::test]
async fn a_post_whose_caller_leaves_too_soon_is_not_sent() {
    let service = TestService::start(POLICY).await;
    let refused = service.teacher().await.rooms().create_room(create(30)).await.unwrap_err();
    assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    assert!(refused.get_error_details().error_info().unwrap().metadata.is_empty(), "nothing was done");
    assert_eq!(service.sent().await, 0);
}

#[tokio::test]
async fn a_post_that_was_sent_runs_to_its_end_and_its_caller_is_told_that_it_may_have_acted() {
    let service = TestService::audited(POLICY).await;
    let slow = json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 1500 });
    service.world.upstream.fault(slow).await;
    let began = Instant::now();
    // tonic's client would not wait for the server's word.
    let key = std::fs::read_to_string(service.path("key:teacher")).unwrap();
    let http = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let answer = http
        .post(format!("http://{}/inkpass.v1.RoomService/CreateRoom", service.world.grpc))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "500m")
        .header("x-api-key", key.trim())
        .body(message(0, 0));
    let answer = answer.send().await.unwrap();
    let refused = Status::from_header_map(answer.headers()).unwrap();
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
    assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    assert_eq!(refused.get_error_details().error_info().unwrap().metadata["outcome"], "unknown");
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    until("its outcome is recorded", async || {
        service.lines().iter().any(|line| line["phase"] == "outcome" && line["uuid"].is_string())
    })
    .await;
}

#[tokio::test]
async fn a_change_that_was_sent_is_not_stopped_when_its_caller_leaves() {
    let service = TestService::start(POLICY).await;
    let teacher = service.teacher().await;
    let created = teacher.rooms().create_room(CreateRoomRequest::default()).await.unwrap().into_inner();
    let uuid = created.room.unwrap().uuid;
    let slow =
        json!({ "method": "PATCH", "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 800 });
    service.world.upstream.fault(slow).await;
    let disable = inkpass::proto::DisableRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let disabling = tokio::spawn({
        let teacher = teacher.clone();
        async move { teacher.rooms().disable_room(disable).await }
    });
    service.until_sent(2).await;
    disabling.abort();
    until("the room is disabled all the same", async || {
        let read = inkpass::proto::GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
        teacher.rooms().get_room(read).await.unwrap().into_inner().room.unwrap().disabled
    })
    .await;
}
