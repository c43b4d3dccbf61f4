//! `RoomService.CreateRoom`.

use std::{sync::Arc, time::Instant};

use inkpass::{
    clock::{ManualClock, UnixMillis},
    proto::{
        CreateRoomRequest, CreateRoomResponse, Region, Role, TokenGrant, TokenKind, token_grant::Validity,
    },
    token::Presented,
};
use prost_types::Duration;
use serde_json::json;
use tokio::net::TcpSocket;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::helpers::{ANY_PORT, NOW, Setup, World, assert_refused, key, upstream::Upstream};

fn in_region(region: Region) -> CreateRoomRequest {
    CreateRoomRequest { region: region.into(), ..Default::default() }
}

fn granting(role: Role, validity: Option<Validity>) -> CreateRoomRequest {
    CreateRoomRequest { token_grant: Some(TokenGrant { role: role.into(), validity }), ..Default::default() }
}

async fn create(world: &World, request: CreateRoomRequest) -> Result<CreateRoomResponse, Status> {
    world.client.rooms().create_room(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_room_is_created_where_it_was_asked_for_with_an_sdk_writer_token() {
    let world = World::start().await;
    let request = CreateRoomRequest { limit: 7, ..in_region(Region::Eu) };
    let answer = create(&world, request).await.unwrap();
    let room = answer.room.unwrap();
    assert_eq!(room.uuid.len(), 32);
    assert_eq!(room.app_identifier.split('/').count(), 2);
    assert_eq!((room.region(), room.limit, room.disabled, room.recording), (Region::Eu, 7, false, false));
    assert_eq!(room.create_time.unwrap().seconds, i64::try_from(NOW / 1000).unwrap());
    assert_eq!(room.access_key, "active-key");
    assert!(answer.token.is_none());

    let sent = world.upstream.requests().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0]["method"], &sent[0]["path"], &sent[0]["region"]),
        (&json!("POST"), &json!("/v5/rooms"), &json!("eu"))
    );
    assert_eq!((&sent[0]["token_kind"], &sent[0]["token_role"]), (&json!("sdk"), &json!("writer")));
    assert_eq!(sent[0]["body"], json!({ "isRecord": false, "limit": 7 }));
}

#[tokio::test]
async fn the_region_is_the_project_s_default_or_a_violation() {
    let world = World::start().await;
    create(&world, CreateRoomRequest::default()).await.unwrap();
    #[expect(deprecated, reason = "the vendor's old name is sent as it is")]
    create(&world, in_region(Region::GbLon)).await.unwrap();
    let sent = world.upstream.requests().await;
    assert_eq!((&sent[0]["region"], &sent[1]["region"]), (&json!("us-sv"), &json!("gb-lon")));

    let without = CreateRoomRequest { project: "other".into(), ..Default::default() };
    let status = create(&world, without).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["region"]);
    assert_eq!(world.upstream.requests().await.len(), 2);
}

#[tokio::test]
async fn a_granted_token_opens_the_new_room_and_is_the_active_key_s() {
    let world = World::start().await;
    let ttl = Validity::Ttl(Duration { seconds: 60, nanos: 0 });
    let answer = create(&world, granting(Role::Writer, Some(ttl))).await.unwrap();
    let (room, token) = (answer.room.unwrap(), answer.token.unwrap());
    assert_eq!((token.kind(), token.role(), &token.uuid), (TokenKind::Room, Role::Writer, &room.uuid));
    assert_eq!(token.access_key, room.access_key);
    let read = Presented::parse(&token.value).unwrap();
    assert!(read.is_signed_by(&key("active-key")));
    assert_eq!((read.uuid(), read.expire_at()), (&*room.uuid, UnixMillis::new(NOW + 60_000)));
}

#[tokio::test]
async fn what_is_wrong_or_refused_is_not_sent() {
    let world = World::start().await;
    let wrong = CreateRoomRequest {
        region: 99,
        limit: -1,
        request_id: "not-a-uuid".into(),
        ..granting(Role::Unspecified, Some(Validity::Ttl(Duration::default())))
    };
    let fields = ["region", "limit", "token_grant.role", "token_grant.ttl", "request_id"];
    let status = create(&world, wrong).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &fields);

    let status = create(&world, granting(Role::Reader, Some(Validity::Permanent(false)))).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["token_grant.permanent"]);
    let status = create(&world, granting(Role::Reader, Some(Validity::Permanent(true)))).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMANENT_TOKEN_FORBIDDEN", &[]);
    let ages = Validity::Ttl(Duration { seconds: 25 * 3600, nanos: 0 });
    let status = create(&world, granting(Role::Reader, Some(ages))).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM", &[]);
    let status = create(&world, CreateRoomRequest { project: "nobody".into(), ..Default::default() })
        .await
        .unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
    assert!(world.upstream.requests().await.is_empty());
}

#[tokio::test]
async fn a_room_is_recorded_if_that_is_asked_for() {
    let world = World::start().await;
    for recording in [true, false] {
        let room = create(&world, CreateRoomRequest { recording, ..Default::default() }).await.unwrap().room;
        assert_eq!(room.unwrap().recording, recording);
        assert_eq!(world.upstream.last().await["body"]["isRecord"], recording);
    }
}

#[tokio::test]
async fn each_failure_of_the_upstream_has_its_reason_and_a_post_is_sent_once() {
    let world = World::start().await;
    for (status, code, reason) in [
        (400, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (401, Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED"),
        (403, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (404, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER"),
        (429, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED"),
        (500, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (502, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (503, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (302, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
    ] {
        world.upstream.fail_once("/v5/rooms", status).await;
        let before = world.upstream.requests().await.len();
        let refused = create(&world, CreateRoomRequest::default()).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
        assert_eq!(world.upstream.requests().await.len(), before + 1, "{status}");
        assert_eq!(refused.get_error_details().retry_info().is_some(), status == 429, "{status}");
    }
}

#[tokio::test]
async fn a_lost_or_unreadable_answer_says_that_the_outcome_is_unknown() {
    let world = World::start().await;
    for kind in ["reset", "truncate", "html"] {
        world.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": kind })).await;
        let before = world.upstream.requests().await.len();
        let refused = create(&world, CreateRoomRequest::default()).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert_eq!(world.upstream.requests().await.len(), before + 1, "{kind}");
        assert!(!refused.message().contains('<'), "nothing of the answer is repeated");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unavailable_and_may_be_tried_again_by_the_application() {
    // Bound, so that nobody else listens there, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ANY_PORT).unwrap();
    let nobody = socket.local_addr().unwrap();
    let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
    let world = Setup::default().in_front_of(Upstream::new(nobody), clock).await;
    let refused = create(&world, CreateRoomRequest::default()).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    assert!(refused.get_error_details().retry_info().unwrap().retry_delay.is_some());
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
}

#[tokio::test]
async fn the_caller_s_deadline_is_kept_and_called_by_its_name() {
    let world = World::start().await;
    world
        .upstream
        .fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 10_000 }))
        .await;
    let started = Instant::now();
    let refused = world.refused_within("200m", "RoomService/CreateRoom", &CreateRoomRequest::default()).await;
    assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    assert!(started.elapsed().as_secs() < 5);
}
