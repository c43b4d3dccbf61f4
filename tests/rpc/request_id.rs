//! `request_id`: one outcome for one id, in each form that keeps them.

use std::{collections::HashSet, ops::Deref, time::Duration};

use inkpass::{
    emulator,
    proto::{
        CreateRoomRequest, CreateRoomResponse, Region, Role, StartConversionRequest, StartConversionResponse,
        StaticFormat, TokenGrant, start_conversion_request::Format, token_grant::Validity,
    },
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::helpers::{Setup, World, assert_refused, redis::Redis};

const ID: &str = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11";

/// A service, and the store that it keeps request ids in; `None`: in its memory.
struct Kept {
    world: World,
    redis: Option<Redis>,
}

impl Kept {
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        if let Some(redis) = &self.redis {
            redis.pass(time).await;
        }
    }
}

impl Deref for Kept {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// One of each form.
async fn both(setup: impl Fn() -> Setup) -> Vec<Kept> {
    let mut both = vec![Kept { world: setup().start().await, redis: None }];
    if let Some(redis) = Redis::plain().await {
        let world = Setup { store: Some(redis.settings()), ..setup() }.start().await;
        both.push(Kept { world, redis: Some(redis) });
    }
    both
}

fn request() -> CreateRoomRequest {
    let grant = TokenGrant { role: Role::Reader.into(), validity: None };
    CreateRoomRequest { request_id: ID.into(), token_grant: Some(grant), ..Default::default() }
}

async fn create(world: &World, request: CreateRoomRequest) -> Result<CreateRoomResponse, Status> {
    world.client.rooms().create_room(request).await.map(tonic::Response::into_inner)
}

async fn posts(world: &World) -> usize {
    world.upstream.requests().await.len()
}

#[tokio::test]
async fn a_repeated_call_has_the_first_one_s_room_and_a_token_of_its_own() {
    for world in both(Setup::default).await {
        let first = create(&world, request()).await.unwrap();
        let second =
            create(&world, CreateRoomRequest { request_id: ID.to_uppercase(), ..request() }).await.unwrap();
        assert_eq!((first.room, posts(&world).await), (second.room, 1));
        let (first, second) = (first.token.unwrap(), second.token.unwrap());
        assert_eq!(first.uuid, second.uuid);
        assert_ne!(first.value, second.value);

        let other = CreateRoomRequest { request_id: ID.replace('6', "7"), ..request() };
        create(&world, other).await.unwrap();
        assert_eq!(posts(&world).await, 2);
        let without = CreateRoomRequest { request_id: String::new(), ..request() };
        create(&world, without.clone()).await.unwrap();
        create(&world, without).await.unwrap();
        assert_eq!(posts(&world).await, 4);
    }
}

#[tokio::test]
async fn calls_that_arrive_together_send_one_post() {
    for world in both(Setup::default).await {
        world
            .upstream
            .fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 300 }))
            .await;
        let calls = (0..100).map(|_| create(&world, request()));
        let answers = futures_util::future::join_all(calls).await;
        let rooms: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().room.unwrap().uuid).collect();
        assert!(rooms.iter().all(|room| *room == rooms[0]));
        assert_eq!(posts(&world).await, 1);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_lose_the_outcome() {
    for world in both(Setup::default).await {
        world
            .upstream
            .fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 300 }))
            .await;
        let mut call = Box::pin(create(&world, request()));
        while posts(&world).await == 0 {
            assert!(futures_util::poll!(&mut call).is_pending());
        }
        drop(call);
        create(&world, request()).await.unwrap();
        assert_eq!(posts(&world).await, 1);
    }
}

#[tokio::test]
async fn a_call_that_ends_at_its_deadline_may_be_repeated_only_where_its_id_holds_in_every_replica() {
    for world in both(Setup::default).await {
        let fault = json!({ "path": "/v5/rooms", "count": 2, "kind": "delay", "delay_ms": 1500 });
        world.upstream.fault(fault).await;
        for (request_id, may_repeat) in [(ID, world.redis.is_some()), ("", false)] {
            let before = posts(&world).await;
            let create = CreateRoomRequest { request_id: request_id.into(), ..request() };
            let refused = world.refused_within("500m", "RoomService/CreateRoom", &create).await;
            assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
            let details = refused.get_error_details();
            assert_eq!(details.error_info().unwrap().metadata["outcome"], "unknown");
            assert!(details.retry_info().is_none());
            let pushback = refused.metadata().get("grpc-retry-pushback-ms");
            assert_eq!(pushback.is_none(), may_repeat, "{pushback:?}");
            assert_eq!(posts(&world).await, before + 1);
        }
        assert!(create(&world, request()).await.unwrap().replayed);
    }
}

#[tokio::test]
async fn other_arguments_are_a_violation() {
    for world in both(Setup::default).await {
        create(&world, request()).await.unwrap();
        let other_grant = TokenGrant { role: Role::Writer.into(), validity: None };
        for other in [
            CreateRoomRequest { limit: 1, ..request() },
            CreateRoomRequest { region: Region::Eu.into(), ..request() },
            CreateRoomRequest { token_grant: Some(other_grant), ..request() },
        ] {
            let refused = create(&world, other).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["request_id"]);
        }
        assert_eq!(posts(&world).await, 1);
    }
}

#[tokio::test]
async fn an_outcome_is_kept_for_ten_minutes() {
    for world in both(Setup::default).await {
        create(&world, request()).await.unwrap();
        world.pass(Duration::from_secs(599)).await;
        create(&world, request()).await.unwrap();
        assert_eq!(posts(&world).await, 1);
        world.pass(Duration::from_secs(1)).await;
        create(&world, CreateRoomRequest { limit: 1, ..request() }).await.unwrap();
        assert_eq!(posts(&world).await, 2);
    }
}

#[tokio::test]
async fn a_call_that_gets_an_earlier_one_s_outcome_says_so() {
    for world in both(Setup::default).await {
        let create = async |request: CreateRoomRequest| {
            world.client.rooms().create_room(request).await.unwrap().into_inner()
        };
        let (first, second) = (create(request()).await, create(request()).await);
        assert_eq!((first.replayed, second.replayed), (false, true));
        assert_eq!(first.room.unwrap().uuid, second.room.unwrap().uuid);
        assert!(!create(CreateRoomRequest::default()).await.replayed);
        let refused =
            world.client.rooms().create_room(CreateRoomRequest { recording: true, ..request() }).await;
        assert_refused(&refused.unwrap_err(), Code::InvalidArgument, "INVALID_REQUEST", &["request_id"]);
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_kept_and_a_failure_without_effect_is_not() {
    for (fault, code, reason) in [
        (json!({ "kind": "reset" }), Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (json!({ "kind": "status", "status": 500 }), Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
        (json!({ "kind": "html" }), Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN"),
    ] {
        for world in both(Setup::default).await {
            world.upstream.fault(fault.clone()).await;
            for _ in 0..3 {
                assert_refused(&create(&world, request()).await.unwrap_err(), code, reason, &[]);
            }
            assert_eq!(posts(&world).await, 1);
        }
    }
    for status in [400, 401, 403, 429] {
        for world in both(Setup::default).await {
            world.upstream.fail_once("/v5/rooms", status).await;
            create(&world, request()).await.unwrap_err();
            create(&world, request()).await.unwrap();
            assert_eq!(posts(&world).await, 2);
        }
    }
}

#[tokio::test]
async fn the_token_of_a_repeated_call_is_decided_and_dated_anew() {
    for world in both(Setup::default).await {
        let first = create(&world, request()).await.unwrap().token.unwrap().expire_time.unwrap();
        world.pass(Duration::from_mins(5)).await;
        let second = create(&world, request()).await.unwrap().token.unwrap().expire_time.unwrap();
        assert_eq!(second.seconds - first.seconds, 5 * 60);
        let validity = Some(Validity::Ttl(prost_types::Duration { seconds: 25 * 3600, nanos: 0 }));
        let token_grant = Some(TokenGrant { role: Role::Reader.into(), validity });
        let refused = create(&world, CreateRoomRequest { token_grant, ..request() }).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM", &[]);
        assert_eq!(posts(&world).await, 1);
    }
}

fn conversion() -> StartConversionRequest {
    StartConversionRequest {
        resource: "https://example.com/a.pdf".into(),
        format: Some(Format::StaticFormat(StaticFormat::default())),
        token_grant: Some(TokenGrant { role: Role::Reader.into(), validity: None }),
        request_id: ID.into(),
        ..Default::default()
    }
}

async fn start(world: &World, request: StartConversionRequest) -> Result<StartConversionResponse, Status> {
    world.client.conversions().start_conversion(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn conversions_have_it_too_and_the_same_id_may_serve_another_rpc() {
    for world in both(Setup::default).await {
        create(&world, request()).await.unwrap();
        let fault = json!({ "path": "/v5/projector", "kind": "delay", "delay_ms": 300 });
        world.upstream.fault(fault).await;
        let calls = (0..20).map(|_| start(&world, conversion()));
        let answers = futures_util::future::join_all(calls).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        let tokens: HashSet<_> = answers.iter().map(|answer| &answer.token.as_ref().unwrap().value).collect();
        assert!(answers.iter().all(|answer| answer.conversion == answers[0].conversion));
        assert_eq!((tokens.len(), posts(&world).await), (20, 2));

        let other = StartConversionRequest { webhook_retry: Some(1), ..conversion() };
        let refused = start(&world, other).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["request_id"]);
        world.pass(Duration::from_mins(10)).await;
        start(&world, conversion()).await.unwrap();
        assert_eq!(posts(&world).await, 3);
    }
}

#[tokio::test]
async fn a_conversion_that_found_the_queue_full_is_tried_again() {
    let emulator = emulator::Settings { queue_limit: 1, ..emulator::Settings::default() };
    let setup = || Setup { emulator: emulator.clone(), ..Setup::default() };
    for world in both(setup).await {
        start(&world, StartConversionRequest { request_id: String::new(), ..conversion() }).await.unwrap();
        let refused = start(&world, conversion()).await.unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL", &[]);
        world.pass(Duration::from_mins(1)).await;
        start(&world, conversion()).await.unwrap();
    }
}
