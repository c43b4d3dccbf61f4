//! The store is slow, full, read-only, failing over or gone: who needs it is refused at once, and nothing is sent.

use std::time::{Duration, Instant};

use inkpass::proto::{
    CreateRoomRequest, CreateRoomResponse, IssueTokenRequest, Role, RoomScope, issue_token_request::Scope,
};
use serde_json::json;
use tonic::Code;

use super::{create, created, id, posts, replicas, request};
use crate::helpers::{
    World, assert_refused,
    redis::{Redis, settings},
    until,
};

/// What a refusal may take: the 250 ms of the contract, and what a machine that builds beside us takes of it.
const AT_ONCE: Duration = Duration::from_millis(400);

/// Every call with an id is refused at once, and all others are served.
async fn assert_refuses(world: &World, first: usize) {
    let before = posts(world).await;
    let mut fastest = Duration::MAX;
    for number in first..first + 5 {
        let began = Instant::now();
        let refused = create(world, request(&id(number))).await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
        assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < AT_ONCE, "{fastest:?}");
    assert_eq!(posts(world).await, before, "nothing was sent");
    create(world, CreateRoomRequest::default()).await.unwrap();
    let scope = Some(Scope::Room(RoomScope { uuid: "r".into(), ..Default::default() }));
    let issue = IssueTokenRequest { scope, role: Role::Reader.into(), ..Default::default() };
    world.client.tokens().issue_token(issue).await.unwrap();
    let ready = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let ready = ready.get(format!("http://{}/readyz", world.admin)).send().await.unwrap();
    assert!(ready.status().is_success());
}

/// Calls are served again, in a while.
async fn assert_recovers(world: &World, id: &str) {
    until(async || create(world, request(id)).await.is_ok()).await;
}

#[tokio::test]
async fn a_store_that_is_gone() {
    let Some(mut redis) = Redis::durable().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    redis.kill();
    assert_refuses(&world, 1).await;
    // Neither is an id that was answered before.
    let refused = create(&world, request(&id(0))).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
    redis.restart().await;
    assert_recovers(&world, &id(1)).await;
    assert!(created(&world, request(&id(0))).await.replayed, "it has kept what it had");
}

#[tokio::test]
async fn a_store_that_was_never_there() {
    // A peer whose kernel takes connections, and that never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    for url in [
        "redis://127.0.0.1:1".to_owned(),
        "redis://nobody.invalid".to_owned(),
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main".to_owned(),
        "redis+cluster://127.0.0.1:1,127.0.0.1:2".to_owned(),
        format!("redis://{silent}"),
        format!("rediss://{silent}"),
        format!("redis+sentinel://{silent},127.0.0.1:1/main"),
        format!("redis+cluster://{silent}"),
    ] {
        let [world]: [World; 1] = replicas(&settings(&url)).await;
        assert_refuses(&world, 0).await;
    }
}

#[tokio::test]
async fn a_store_that_closed_a_connection_which_nobody_used_costs_no_call() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    for number in 0..3 {
        created(&world, request(&id(number))).await;
        // As with its setting `timeout`.
        let closed: u32 = redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        assert!(closed > 0);
        created(&world, request(&id(number))).await;
    }
    assert_eq!(posts(&world).await, 3);
}

#[tokio::test]
async fn a_store_that_stands_still() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    redis.signal("STOP");
    assert_refuses(&world, 1).await;
    redis.signal("CONT");
    for number in 1..6 {
        assert_recovers(&world, &id(number)).await;
    }
    assert_eq!(posts(&world).await, 1 + 1 + 5, "one for each id, and the one without");
}

#[tokio::test]
async fn a_store_that_is_full() {
    let Some(redis) = Redis::start(&["--save", "", "--maxmemory-policy", "noeviction"]).await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_refuses(&world, 1).await;
    // What it has is told.
    assert!(created(&world, request(&id(0))).await.replayed);
    assert!(world.metrics().await.contains("cause=\"full\""));
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_recovers(&world, &id(1)).await;
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_not_asked_on_to_take_back_what_it_never_took() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    // It has none of the replicas that it is to have.
    let _: String = redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert_refuses(&world, 1).await;
    // Nothing is held for them any more, long before claims are given up.
    let began = Instant::now();
    until(async || world.metrics().await.contains("inkpass_store_outcomes_unwritten 0")).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let _: String = redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    assert_recovers(&world, &id(1)).await;
}

#[tokio::test]
async fn a_store_that_only_reads() {
    let (Some(primary), Some(redis)) = (Redis::plain().await, Redis::plain().await) else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    redis.follow(&primary).await;
    assert_refuses(&world, 1).await;
    let _: String = redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert_recovers(&world, &id(1)).await;
}

#[tokio::test]
async fn a_store_that_loses_every_connection_is_not_asked_for_ever_more_of_them() {
    let (Some(primary), Some(redis)) = (Redis::plain().await, Redis::plain().await) else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    redis.follow(&primary).await;
    let connections = async || {
        let info: String = redis.ask(&["INFO", "stats"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().parse::<usize>().unwrap()
    };
    let (before, began) = (connections().await, Instant::now());
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(2) {
        create(&world, request(&id(1))).await.unwrap_err();
        refused += 1;
    }
    let made = connections().await - before;
    assert!((2..20).contains(&made), "{made} connections for {refused} calls");
}

#[tokio::test]
async fn a_store_whose_replica_does_not_answer() {
    for program in ["redis-server", "valkey-server"] {
        let of = async || Redis::of(program, &["--save", ""]).await;
        if let (Some(store), Some(replica)) = (of().await, of().await) {
            assert_waits_for_its_replica(&store, &replica).await;
        }
    }
}

async fn assert_waits_for_its_replica(store: &Redis, replica: &Redis) {
    let [first, second]: [World; 2] = replicas(&store.settings()).await;
    replica.follow(store).await;
    // Not at once on a busy machine: it has 250 ms.
    assert_recovers(&first, &id(0)).await;
    assert_eq!(replica.keys().await.len(), 1);
    replica.signal("STOP");
    assert_refuses(&first, 1).await;
    replica.signal("CONT");
    for number in 1..6 {
        // Whoever was refused took its claim back.
        assert_recovers(&second, &id(number)).await;
    }
    assert_eq!(posts(&first).await, 1 + 1 + 5);
}

/// What a call makes whose store is gone once its request is under way.
async fn made_while_the_store_dies(world: &World, redis: &mut Redis) -> CreateRoomResponse {
    world.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 1000 })).await;
    let client = world.client.clone();
    let call = tokio::spawn(async move { client.rooms().create_room(request(&id(0))).await });
    until(async || posts(world).await == 1).await;
    redis.kill();
    call.await.unwrap().unwrap().into_inner()
}

#[tokio::test]
async fn an_outcome_is_told_at_once_and_written_when_the_store_is_back() {
    let Some(mut redis) = Redis::durable().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    let made = made_while_the_store_dies(&first, &mut redis).await;
    let unwritten = "inkpass_store_outcomes_unwritten 1";
    until(async || first.metrics().await.contains(unwritten)).await;
    redis.restart().await;
    until(async || !first.metrics().await.contains(unwritten)).await;
    assert_recovers(&second, &id(0)).await;
    let repeated = created(&second, request(&id(0))).await;
    assert_eq!((repeated.room, repeated.replayed, posts(&first).await), (made.room, true, 1));
}

#[tokio::test]
async fn an_outcome_that_is_unwritten_is_told_by_its_replica_whatever_the_store_has_lost() {
    let Some(mut redis) = Redis::plain().await else { return };
    let [first, second]: [World; 2] = replicas(&redis.settings()).await;
    let made = made_while_the_store_dies(&first, &mut redis).await;
    let repeated = created(&first, request(&id(0))).await;
    assert_eq!((&repeated.room, repeated.replayed), (&made.room, true));
    redis.restart().await;
    while redis.keys().await.is_empty() {
        assert_eq!(created(&first, request(&id(0))).await.room, made.room);
    }
    assert_recovers(&second, &id(0)).await;
    assert_eq!((created(&second, request(&id(0))).await.room, posts(&first).await), (made.room, 1));
}

#[tokio::test]
async fn a_replica_that_stops_does_not_wait_for_a_store_that_is_gone() {
    let Some(mut redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    created(&world, request(&id(0))).await;
    redis.kill();
    create(&world, request(&id(1))).await.unwrap_err();
    let began = Instant::now();
    world.stop.send(()).unwrap();
    world.ended.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
