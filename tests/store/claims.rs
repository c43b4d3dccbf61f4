//! What a request id means on several replicas.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use inkpass::{client::Client, token::Fingerprinter};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use super::{ID, create, created, created_by, id, posts, replicas, request};
use crate::{
    decisions::{POLICY, TestService},
    helpers::{World, assert_refused, log::Log, redis::Redis, until},
};

#[tokio::test]
async fn two_hundred_calls_with_twenty_ids_over_three_replicas_make_twenty_rooms() {
    for program in ["redis-server", "valkey-server"] {
        if let Some(store) = Redis::of(program, &["--save", ""]).await {
            assert_twenty_rooms(&store).await;
        }
    }
}

async fn assert_twenty_rooms(store: &Redis) {
    let worlds: [World; 3] = replicas(&store.settings()).await;
    let calls = (0..200).map(|call| {
        let world = &worlds[call % 3];
        async move { (call / 10, created(world, request(&id(call / 10))).await) }
    });
    let mut rooms: HashMap<usize, HashSet<String>> = HashMap::new();
    let mut first = 0;
    for (id, answer) in futures_util::future::join_all(calls).await {
        rooms.entry(id).or_default().insert(answer.room.unwrap().uuid);
        first += usize::from(!answer.replayed);
    }
    assert!(rooms.values().all(|rooms| rooms.len() == 1), "{rooms:?}");
    assert_eq!((rooms.len(), posts(&worlds[0]).await, first), (20, 20, 20));
}

#[tokio::test]
async fn another_replica_waits_for_the_first_one_s_outcome_and_says_whose_it_is() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 600 })).await;
    let mut call = Box::pin(create(&first, request(ID)));
    while posts(&first).await == 0 {
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    let repeated = created(&second, request(ID)).await;
    let made = call.await.unwrap();
    assert_eq!((made.room, made.replayed, repeated.replayed), (repeated.room, false, true));

    let other = inkpass::proto::CreateRoomRequest { limit: 1, ..request(ID) };
    let refused = create(&second, other).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["request_id"]);
    let metrics = second.metrics().await;
    for line in ["outcome=\"replayed\"} 1", "outcome=\"other_arguments\"} 1", "inkpass_store_connected 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(posts(&first).await, 1);
}

#[tokio::test]
async fn what_had_no_effect_is_forgotten_everywhere_and_what_may_have_had_one_is_not() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    first.upstream.fail_once("/v5/rooms", 429).await;
    create(&first, request(&id(1))).await.unwrap_err();
    assert!(redis.keys().await.is_empty());
    assert!(!created(&second, request(&id(1))).await.replayed);

    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "reset" })).await;
    for world in [&first, &second, &first] {
        let refused = create(world, request(&id(2))).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        // It may be repeated, with this id: that does nothing more.
        assert!(refused.metadata().get("grpc-retry-pushback-ms").is_none());
        assert!(refused.get_error_details().retry_info().is_none());
    }
    let without = create(&first, inkpass::proto::CreateRoomRequest::default());
    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "reset" })).await;
    assert_eq!(without.await.unwrap_err().metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    assert_eq!(posts(&first).await, 4);
}

#[tokio::test]
async fn a_claim_that_was_left_is_taken_over_after_five_seconds_and_not_before() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(ID)).await;
    // As if its owner had broken off before it sent anything, four and a half seconds ago.
    leave_claimed(&redis, Duration::from_millis(4_500)).await;
    let began = std::time::Instant::now();
    assert!(!created(&world, request(ID)).await.replayed);
    assert!(began.elapsed() > Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(posts(&world).await, 2);
    assert!(created(&world, request(ID)).await.replayed);
}

/// Replaces the one outcome that is kept with a claim of the same call. This is the layout of values: replicas of two
/// versions of inkpass must agree on it.
async fn leave_claimed(redis: &Redis, age: Duration) {
    let [key] = &*redis.keys().await else { panic!("one key") };
    let value: Vec<u8> = redis.ask(&["GET", key]).await;
    let (version, claimed, arguments) = (1, 1, &value[18..50]);
    let mut claim = [&[version, claimed][..], &[7; 16], arguments].concat();
    let digest = key.strip_prefix("inkpass:1:").unwrap();
    let digest = (0..32).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap());
    let sealer = Fingerprinter::new(b"salt").sealer("request_ids");
    let tag = sealer.tag(&[&*claim, &digest.collect::<Vec<_>>()].concat());
    claim.extend(tag);
    let left = (600_000 - age.as_millis()).to_string();
    redis.set(key, &claim, &["PX", &left]).await;
}

#[tokio::test]
async fn a_call_that_never_left_its_outcome_is_unknown_after_twenty_seconds() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 3000 })).await;
    let call = tokio::spawn({
        let client = first.client.clone();
        async move { client.rooms().create_room(request(ID)).await }
    });
    until(async || posts(&first).await == 1).await;
    redis.pass(Duration::from_secs(21)).await;
    let refused = create(&second, request(ID)).await.unwrap_err();
    assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
    // It was only slow: its outcome is known from then on.
    call.await.unwrap().unwrap();
    assert!(created(&second, request(ID)).await.replayed);
    assert_eq!(posts(&first).await, 1);
}

#[tokio::test]
async fn an_outcome_takes_the_place_of_a_claim_where_the_store_forgot_that_it_was_sent() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 1000 })).await;
    let client = first.client.clone();
    let call = tokio::spawn(async move { created_by(&client, request(ID)).await });
    until(async || posts(&first).await == 1).await;
    // As after a fail-over to a replica that had not seen it, where another call has claimed the id.
    leave_claimed(&redis, Duration::ZERO).await;
    let made = call.await.unwrap();
    let repeated = created(&second, request(ID)).await;
    assert_eq!((repeated.room, repeated.replayed, posts(&first).await), (made.room, true, 1));
}

#[tokio::test]
async fn a_value_that_no_replica_wrote_is_not_believed() {
    let Some(redis) = Redis::plain().await else { return };
    let log = Log::start();
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    created(&first, request(&id(1))).await;
    let [key] = &*redis.keys().await else { panic!("one key") };
    let value: Vec<u8> = redis.ask(&["GET", key]).await;
    created(&first, request(&id(2))).await;
    let others = redis.keys().await;
    let other = others.iter().find(|other| *other != key).unwrap();
    // Another id's own value, a room that an attacker chose, nonsense, and nothing at all.
    let chosen = [&value[..50], b"\x0a\x04evil", &value[value.len() - 32..]].concat();
    let forgeries = [value, chosen, b"x".to_vec(), vec![b'x'; 100_000], Vec::new()];
    for (number, forged) in forgeries.into_iter().enumerate() {
        redis.set(other, &forged, &["KEEPTTL"]).await;
        for world in [&first, &second] {
            let refused = create(world, request(&id(2))).await.unwrap_err();
            assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
        }
        assert_eq!(log.count(" ERROR "), 2 * (number + 1), "{}", log.text());
    }
    let _: i64 = redis.ask(&["DEL", other]).await;
    let _: i64 = redis.ask(&["LPUSH", other, "x"]).await;
    let refused = create(&first, request(&id(2))).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
    assert!(first.metrics().await.contains("inkpass_store_claims_total{outcome=\"forged\"} 6"));
    assert_eq!(posts(&first).await, 2);
}

#[tokio::test]
async fn the_clocks_of_replicas_need_not_agree() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    first.clock.advance(Duration::from_hours(1));
    first.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 600 })).await;
    let (made, repeated) = tokio::join!(create(&first, request(ID)), create(&second, request(ID)));
    assert_eq!(made.unwrap().room, repeated.unwrap().room);
    for world in [&second, &first] {
        world.clock.advance(Duration::from_hours(2));
        assert!(created(world, request(ID)).await.replayed);
    }
    assert_eq!(posts(&first).await, 1);
}

#[tokio::test]
async fn a_caller_with_ids_without_an_end_fills_its_own_share_of_what_the_store_keeps() {
    let Some(redis) = Redis::plain().await else { return };
    let both = POLICY.replace("[\"key:teacher\"]", "[\"key:teacher\", \"key:verifier\"]");
    let service = TestService::sharing(&both, redis.settings(), 32 * 1024).await;
    let [greedy, other] = [service.client("key:teacher").await, service.client("key:verifier").await];
    let create = async |client: &Client, number| client.rooms().create_room(request(&id(number))).await;
    let (mut kept, mut late) = (0, 0);
    let refused = loop {
        match create(&greedy, kept).await {
            Ok(_) => kept += 1,
            // A busy machine left the store no time.
            Err(refused) if refused.code() == Code::Unavailable && late < 100 => late += 1,
            Err(refused) => break refused,
        }
        assert!(kept < 100, "there is no end");
    };
    assert_refused(&refused, Code::ResourceExhausted, "CALLER_QUOTA_EXCEEDED", &[]);
    let details = refused.get_error_details();
    let subject = &*details.quota_failure().unwrap().violations[0].subject;
    assert_eq!((subject, redis.keys().await.len()), ("request_ids", kept));
    assert_eq!(service.sent().await, kept, "nothing was sent");
    created_by(&other, request(&id(kept))).await;
}

#[tokio::test]
async fn a_flood_of_forged_values_and_of_refusals_is_summed_up() {
    let Some(redis) = Redis::plain().await else { return };
    let log = Log::start();
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(ID)).await;
    let [key] = &*redis.keys().await else { panic!("one key") };
    redis.set(key, b"forged", &[]).await;
    for _ in 0..40 {
        create(&world, request(ID)).await.unwrap_err();
    }
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for number in 0..40 {
        create(&world, request(&id(number))).await.unwrap_err();
    }
    for (level, line) in [(" ERROR ", "it is not believed"), (" WARN ", "the store refuses")] {
        let sum = || {
            let text = log.text();
            let sums =
                text.lines().filter(|line| line.contains(level) && line.contains("in the last second"));
            let counts =
                sums.filter_map(|line| line.split_once("count=")?.1.split(' ').next()?.parse::<usize>().ok());
            counts.sum::<usize>()
        };
        until(async || log.count(line) + sum() == 40).await;
        // Few in a second, and it does not take many.
        assert!(log.count(line) < 40, "{}", log.text());
    }
}

#[tokio::test]
async fn what_is_kept_has_no_token_an_end_and_a_key_of_one_length() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    let grant = inkpass::proto::TokenGrant { role: inkpass::proto::Role::Admin.into(), validity: None };
    let with_token = inkpass::proto::CreateRoomRequest { token_grant: Some(grant), ..request(ID) };
    assert!(created(&world, with_token).await.token.is_some());
    let [key] = &*redis.keys().await else { panic!("one key") };
    assert_eq!(key.len(), "inkpass:1:".len() + 32);
    let value: Vec<u8> = redis.ask(&["GET", key]).await;
    assert!(value.len() < 400 && !value.windows(7).any(|part| part == b"NETLESS"), "{}", value.len());
    let left: u64 = redis.ask(&["PTTL", key]).await;
    assert!((590_000..=600_000).contains(&left), "{left}");
}
