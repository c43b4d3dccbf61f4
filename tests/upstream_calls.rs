//! What leaves for the upstream, and what of its answers is accepted, at an upstream that says
//! what it is told to.

use std::time::{Duration, Instant};

use inkpass::{
    clock::UnixMillis,
    proto::{CreateRoomRequest, GetRoomRequest, ListRoomsRequest, Region, Role, TokenGrant},
    token::{Kind, Presented, Role as TokenRole},
};
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::helpers::{NOW, World, assert_refused, key, scripted::Scripted, until};

fn room(uuid: &str) -> String {
    format!(
        r#"{{"uuid":"{uuid}","teamUUID":"t","appUUID":"a","isRecord":false,"isBan":false,
            "createdAt":"2026-01-02T03:04:05.678Z","limit":0}}"#
    )
}

fn granting() -> CreateRoomRequest {
    CreateRoomRequest {
        token_grant: Some(TokenGrant { role: Role::Reader.into(), validity: None }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_call_s_token_lives_for_one_minute_and_is_signed_by_the_active_key() {
    let upstream = Scripted::new(201, room("r1"));
    let world = upstream.start().await;
    world.client.rooms().create_room(granting()).await.unwrap();
    world.client.rooms().get_room(GetRoomRequest { uuid: "r1".into(), ..Default::default() }).await.unwrap();
    let tokens = upstream.tokens.lock().unwrap().clone();
    let read = tokens.iter().map(|token| Presented::parse(token).unwrap()).collect::<Vec<_>>();
    for token in &read {
        assert!(token.is_signed_by(&key("active-key")));
        assert_eq!(token.expire_at(), UnixMillis::new(NOW + 60_000));
    }
    assert_eq!((read[0].kind(), read[0].role()), (Kind::Sdk, TokenRole::Writer));
    assert_eq!((read[1].kind(), read[1].role(), read[1].uuid()), (Kind::Room, TokenRole::Writer, "r1"));
}

/// How a call on a room, one on none, and one that creates are refused after such an answer.
async fn refusals(status: u16, body: &str) -> [Status; 3] {
    let world = Scripted::new(status, body.to_owned()).start().await;
    let mut rooms = world.client.rooms();
    let get = GetRoomRequest { uuid: "r1".into(), ..Default::default() };
    [
        rooms.get_room(get).await.unwrap_err(),
        rooms.list_rooms(ListRoomsRequest::default()).await.unwrap_err(),
        rooms.create_room(granting()).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_404_is_a_missing_room_only_where_a_room_was_named_and_no_gateway_speaks() {
    for body in [r#"{"message":"room not found"}"#, ""] {
        let [get, list, create] = refusals(404, body).await;
        assert_refused(&get, Code::NotFound, "ROOM_NOT_FOUND", &[]);
        assert_refused(&list, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
        assert_refused(&create, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
        assert!(create.get_error_details().error_info().unwrap().metadata.is_empty(), "nothing was created");
    }
    for status in [400, 403, 404] {
        for refused in refusals(status, "<html>secret</html>").await {
            assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
        }
    }
}

#[tokio::test]
async fn a_limit_of_the_upstream_is_named_with_its_quota() {
    for refused in refusals(429, "").await {
        assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", &[]);
        let details = refused.get_error_details();
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "upstream");
    }
    for refused in refusals(400, r#"{"code":2010203,"message":"x"}"#).await {
        assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL", &[]);
        assert!(refused.get_error_details().quota_failure().is_some());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_is_documented_is_not_believed_and_not_repeated() {
    let long = "x".repeat(1000);
    let answers = [
        room(""),
        room("../a"),
        room(&long),
        room("a\\u0000b"),
        room("a b"),
        r#"{"teamUUID":"t","appUUID":"a"}"#.to_owned(),
        r#"{"uuid":{},"teamUUID":"t","appUUID":"a"}"#.to_owned(),
        "[]".to_owned(),
        "<html>secret</html>".to_owned(),
        String::new(),
        format!("{}{}", room("r1"), " ".repeat(1024 * 1024)),
    ];
    for answer in answers {
        let upstream = Scripted::new(201, answer.clone());
        let world = upstream.start().await;
        let refused = world.client.rooms().create_room(granting()).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert!(!refused.message().contains("secret"));
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test]
async fn a_room_of_which_the_upstream_says_little_is_a_room_all_the_same() {
    let upstream =
        Scripted::new(201, r#"{"uuid":"r1","teamUUID":"t","appUUID":"a","limit":null,"name":"new"}"#);
    let world = upstream.start().await;
    let answer = world.client.rooms().create_room(granting()).await.unwrap().into_inner();
    assert_eq!(answer.token.unwrap().uuid, "r1");
    assert_eq!(answer.room.unwrap().create_time, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut upstream = Scripted::new(302, "");
    upstream.headers.insert("location", "http://127.0.0.1:1/elsewhere".parse().unwrap());
    let world = upstream.start().await;
    let refused = world.client.rooms().create_room(granting()).await.unwrap_err();
    assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn every_shape_of_a_failure_s_code_is_read_and_a_5xx_to_a_post_is_never_harmless() {
    for (status, body, code, reason) in [
        (400, r#"{"code":2010203}"#, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL"),
        (400, r#"{"code":"2010203","msg":"full"}"#, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL"),
        (403, r#"{"error":{"code":2010203}}"#, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL"),
        (403, r#"{"error":"boom","code":2010606}"#, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED"),
        (403, "", Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (401, r#"{"code":2010606}"#, Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED"),
        (400, r#"{"code":2011301}"#, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (500, r#"{"code":2010203}"#, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (504, "<html>", Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
    ] {
        let world = Scripted::new(status, body).start().await;
        let refused = world.client.rooms().create_room(granting()).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
    }
}

#[tokio::test]
async fn the_upstream_s_clock_is_held_against_ours() {
    let mut upstream = Scripted::new(200, room("r1"));
    // NOW is 2026-09-21T14:13:20Z.
    upstream.headers.insert("date", "Mon, 21 Sep 2026 14:14:02 GMT".parse().unwrap());
    let world = upstream.start().await;
    world.client.rooms().get_room(GetRoomRequest { uuid: "r1".into(), ..Default::default() }).await.unwrap();
    let metrics = world.metrics().await;
    assert!(metrics.contains("\ninkpass_upstream_clock_skew_seconds 42\n"), "{metrics}");
}

#[tokio::test]
async fn an_answer_of_success_that_names_an_error_is_that_error() {
    for (body, code, reason) in [
        (r#"{"code":2010606,"message":"x"}"#, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED"),
        (r#"{"error":{"code":"2010203"}}"#, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL"),
        (r#"{"code":2019999,"msg":"x"}"#, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (r#"{"code":200,"msg":"ok"}"#, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (r#"{"code":0,"data":{}}"#, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (r#"{"uuid":"r1","code":112}"#, Code::Ok, ""),
    ] {
        let world = Scripted::new(201, body).start().await;
        match world.client.rooms().create_room(granting()).await {
            Ok(_) => assert_eq!(code, Code::Ok, "{body}"),
            Err(refused) => assert_refused(&refused, code, reason, &[]),
        }
    }
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_but_for_one_call_that_tries() {
    let world = World::start().await;
    let create = async || world.client.rooms().create_room(CreateRoomRequest::default()).await;
    let down = json!({ "method": "POST", "path": "/v5", "count": 1000, "kind": "status", "status": 500 });
    world.upstream.fault(down).await;
    for _ in 0..20 {
        assert_refused(&create().await.unwrap_err(), Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
    }
    let sent = world.upstream.requests().await.len();
    let (mut fastest, mut tried) = (Duration::MAX, 0);
    let opened = Instant::now();
    for _ in 0..50 {
        let began = Instant::now();
        let refused = create().await.unwrap_err();
        // On a busy machine so many take longer than a second, after which one call tries.
        if refused.code() == Code::Aborted {
            tried += 1;
            continue;
        }
        fastest = fastest.min(began.elapsed());
        assert_refused(&refused, Code::Unavailable, "UPSTREAM_CIRCUIT_OPEN", &[]);
        assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
        assert!(refused.get_error_details().retry_info().is_some());
    }
    assert_eq!(world.upstream.requests().await.len(), sent + tried, "nothing else is sent");
    assert!(tried <= usize::try_from(opened.elapsed().as_secs()).unwrap() + 1, "{tried} tried");
    assert!(fastest < Duration::from_millis(5), "{fastest:?}");
    // Reads have a circuit of their own, and so has each region.
    world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap();
    let elsewhere = CreateRoomRequest { region: Region::Eu.into(), ..Default::default() };
    let refused = world.client.rooms().create_room(elsewhere).await.unwrap_err();
    assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);

    world.upstream.clear_faults().await;
    until(async || create().await.is_ok()).await;
}

#[tokio::test]
async fn while_the_vendor_asks_for_a_pause_nothing_of_the_project_goes_out_in_the_region() {
    let mut upstream = Scripted::new(429, "");
    upstream.headers.insert("retry-after", "30".parse().unwrap());
    let world = upstream.start().await;
    for _ in 0..50 {
        let refused = world.client.rooms().create_room(granting()).await.unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", &[]);
        let delay = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        assert!((25..=30).contains(&delay.as_secs()), "{delay:?}");
    }
    assert_eq!(upstream.count(), 1);
    let access_key = "retiring-key".to_owned();
    let by_another_key = GetRoomRequest { uuid: "r1".to_owned(), access_key, ..Default::default() };
    let refused = world.client.rooms().get_room(by_another_key).await.unwrap_err();
    assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", &[]);
    assert_eq!(upstream.count(), 1, "a pause is the project's, whichever key signs");
    let elsewhere = ListRoomsRequest { region: Region::Eu.into(), ..Default::default() };
    world.client.rooms().list_rooms(elsewhere).await.unwrap_err();
    assert_eq!(upstream.count(), 2, "another region is another pause");
}

#[tokio::test]
async fn a_read_waits_for_a_short_pause_and_says_a_long_one() {
    let past = "Mon, 21 Sep 2026 14:13:00 GMT";
    for (status, pause) in [(429, "0"), (503, "0"), (429, "1"), (429, "-1"), (429, "soon"), (503, past)] {
        let mut upstream = Scripted::new(status, "");
        upstream.headers.insert("retry-after", pause.parse().unwrap());
        let world = upstream.start().await;
        let refused = world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap_err();
        let delay = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        assert_eq!((upstream.count(), delay.as_secs()), (3, 1), "{status} {pause}");
        world.client.rooms().create_room(granting()).await.unwrap_err();
        assert!(upstream.count() <= 4, "{status} {pause}: a POST is sent once");
    }
    for (status, code, reason) in [
        (429, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED"),
        (503, Code::Unavailable, "UPSTREAM_UNREACHABLE"),
    ] {
        let mut upstream = Scripted::new(status, "");
        upstream.headers.insert("retry-after", "30".parse().unwrap());
        let world = upstream.start().await;
        let refused = world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
        let delay = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        assert!((25..=30).contains(&delay.as_secs()), "{delay:?}");
        assert_eq!(upstream.count(), 1);
    }
    let mut upstream = Scripted::new(429, "");
    upstream.headers.insert("retry-after", "2".parse().unwrap());
    let world = upstream.start().await;
    let mut hurried = Request::new(ListRoomsRequest::default());
    hurried.metadata_mut().insert("grpc-timeout", "1900m".parse().unwrap());
    let refused = world.client.rooms().list_rooms(hurried).await.unwrap_err();
    assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", &[]);
    assert_eq!(upstream.count(), 1, "there is no time to wait");
}

#[tokio::test]
async fn a_read_is_tried_again_and_a_post_is_not() {
    let world = World::start().await;
    let once = |status: u16| json!({ "path": "/v5", "count": 1, "kind": "status", "status": status });
    for status in [429, 502, 503, 504] {
        world.upstream.fault(once(status)).await;
        world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap();
        world.upstream.fault(once(status)).await;
        world.client.rooms().create_room(CreateRoomRequest::default()).await.unwrap_err();
    }
    world.upstream.fault(once(500)).await;
    world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap_err();
    let posts =
        world.upstream.requests().await.into_iter().filter(|request| request["method"] == "POST").count();
    assert_eq!(posts, 4);
}
