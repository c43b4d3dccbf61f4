//! Equal reads that are under way at the same time share one call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use inkpass::{
    clock::{ManualClock, UnixMillis},
    proto::{DisableRoomRequest, GetRoomRequest, Region, Room},
};
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};
use tonic::{Request, Status};

use crate::helpers::{ANY_PORT, NOW, Setup, World, until, upstream::Upstream};

async fn get(world: &World, request: GetRoomRequest) -> Result<Room, Status> {
    world.client.rooms().get_room(request).await.map(|answer| answer.into_inner().room.unwrap())
}

/// Until the upstream has received a call of this method, and its caller still waits.
async fn until_sent(world: &World, call: &mut (impl Future + Unpin), method: &str) {
    while world.upstream.last().await["method"] != method {
        assert!(futures_util::poll!(&mut *call).is_pending());
    }
}

#[tokio::test]
async fn equal_reads_share_one_call_and_others_do_not() {
    let world = World::start().await;
    let uuid = world.room().await;
    let before = world.upstream.requests().await.len();
    let path = format!("/v5/rooms/{uuid}");
    world.upstream.fault(json!({ "path": path, "count": 9, "kind": "delay", "delay_ms": 300 })).await;
    let same = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let mut requests = vec![same.clone(); 100];
    requests.push(GetRoomRequest { region: Region::Eu.into(), ..same.clone() });
    requests.push(GetRoomRequest { access_key: "retiring-key".into(), ..same.clone() });
    requests.push(GetRoomRequest { project: "other".into(), region: Region::UsSv.into(), ..same.clone() });
    let answers =
        futures_util::future::join_all(requests.into_iter().map(|request| get(&world, request))).await;
    assert_eq!(world.upstream.requests().await.len(), before + 4);
    assert!(answers[..100].iter().all(|answer| answer.as_ref().unwrap().uuid == uuid));
    assert!(answers[100].is_err() && answers[101].is_ok() && answers[102].is_err());

    get(&world, same).await.unwrap();
    assert_eq!(world.upstream.requests().await.len(), before + 5, "what has ended is not shared");
}

#[tokio::test]
async fn a_read_shows_what_was_changed_before_it() {
    let world = World::start().await;
    let uuid = world.room().await;
    let request = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
    world
        .upstream
        .fault(json!({ "method": "GET", "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 500 }))
        .await;
    let mut slow = Box::pin(get(&world, request.clone()));
    until_sent(&world, &mut slow, "GET").await;
    world.client.rooms().disable_room(DisableRoomRequest { uuid, ..Default::default() }).await.unwrap();
    assert!(get(&world, request).await.unwrap().disabled);
    slow.await.unwrap();
}

#[tokio::test]
async fn a_read_shows_what_a_caller_changed_who_did_not_wait() {
    let world = World::start().await;
    let uuid = world.room().await;
    let path = format!("/v5/rooms/{uuid}");
    for method in ["GET", "PATCH"] {
        let late = json!({ "method": method, "path": path, "count": 1, "kind": "delay", "delay_ms": 500 });
        world.upstream.fault(late).await;
    }
    let request = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let (mut rooms, disable) = (world.client.rooms(), DisableRoomRequest { uuid, ..Default::default() });
    let mut slow = Box::pin(get(&world, request.clone()));
    until_sent(&world, &mut slow, "GET").await;
    let mut change = Box::pin(rooms.disable_room(disable));
    until_sent(&world, &mut change, "PATCH").await;
    assert!(get(&world, request.clone()).await.unwrap().disabled, "it is done, though not answered");
    drop(change);
    assert!(get(&world, request).await.unwrap().disabled);
    assert!(!slow.await.unwrap().disabled);
}

#[tokio::test]
async fn a_read_after_a_change_does_not_join_one_that_began_during_it() {
    let world = World::start().await;
    let uuid = world.room().await;
    for (method, delay_ms) in [("PATCH", 300), ("GET", 1500)] {
        let late = json!({ "method": method, "path": "/v5", "kind": "delay", "delay_ms": delay_ms });
        world.upstream.fault(late).await;
    }
    let request = GetRoomRequest { uuid: uuid.clone(), ..Default::default() };
    let (mut rooms, disable) = (world.client.rooms(), DisableRoomRequest { uuid, ..Default::default() });
    let mut change = Box::pin(rooms.disable_room(disable));
    until_sent(&world, &mut change, "PATCH").await;
    let mut during = Box::pin(get(&world, request.clone()));
    until_sent(&world, &mut during, "GET").await;
    change.await.unwrap();
    let before = world.upstream.requests().await.len();
    get(&world, request).await.unwrap();
    assert_eq!(world.upstream.requests().await.len(), before + 1);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_take_the_answer_from_the_others() {
    let world = World::start().await;
    let uuid = world.room().await;
    world.upstream.fault(json!({ "method": "GET", "path": "/v5", "kind": "delay", "delay_ms": 500 })).await;
    let request = GetRoomRequest { uuid, ..Default::default() };
    let mut first = Box::pin(get(&world, request.clone()));
    until_sent(&world, &mut first, "GET").await;
    let mut second = Box::pin(get(&world, request));
    // A call after it on the same connection has an answer: so the second has arrived.
    assert!(futures_util::poll!(&mut second).is_pending());
    world.room().await;
    drop(first);
    second.await.unwrap();
    let reads = world.upstream.requests().await.iter().filter(|sent| sent["method"] == "GET").count();
    assert_eq!(reads, 1);
}

#[tokio::test]
async fn a_read_that_hangs_takes_no_later_one_with_it() {
    let world = World::start().await;
    let uuid = world.room().await;
    let slow = json!({ "method": "GET", "path": "/v5", "kind": "delay", "delay_ms": 60_000 });
    world.upstream.fault(slow).await;
    let request = GetRoomRequest { uuid, ..Default::default() };
    let mut hung = Box::pin(get(&world, request.clone()));
    until_sent(&world, &mut hung, "GET").await;
    until(async || {
        let mut hurried = Request::new(request.clone());
        hurried.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
        world.client.rooms().get_room(hurried).await.is_ok()
    })
    .await;
    assert!(futures_util::poll!(&mut hung).is_pending());
}

#[tokio::test]
async fn a_shared_call_is_tried_again_as_long_as_anyone_waits_for_it() {
    let received = Arc::new(AtomicUsize::new(0));
    let answer = async |State(received): State<Arc<AtomicUsize>>| {
        let number = received.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(200)).await;
        match number {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], ""),
            _ => (StatusCode::OK, [("retry-after", "0")], r#"{"uuid":"r1"}"#),
        }
    };
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let upstream = Upstream::new(listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(received.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
    let world = Setup::default().in_front_of(upstream, clock).await;
    let get_within = async |timeout: &str| {
        let mut request = Request::new(GetRoomRequest { uuid: "r1".into(), ..Default::default() });
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
        world.client.rooms().get_room(request).await
    };
    let (hurried, patient) = tokio::join!(get_within("1100m"), get_within("15S"));
    hurried.unwrap_err();
    assert_eq!(patient.unwrap().into_inner().room.unwrap().uuid, "r1");
    assert_eq!(received.load(SeqCst), 2);
}
