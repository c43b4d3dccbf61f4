//! How much more than its callers ask for reaches an upstream that fails, and how it comes back.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
};
use futures_util::future::join_all;
use inkpass::proto::GetRoomRequest;
use tokio::{net::TcpListener, time::sleep};
use tonic::{Code, Request, Status};

use super::{
    ROOM, create, create_within,
    peer::{Answer, Peer},
    read, world,
};
use crate::helpers::{ANY_PORT, World, assert_refused, log::Log, until};

/// Answers 503 to a share of what comes, and counts it.
#[derive(Clone, Default)]
struct Failing {
    received: Arc<AtomicUsize>,
    /// How many of ten calls fail.
    of_ten: Arc<AtomicUsize>,
    /// Answers none.
    is_hanging: Arc<AtomicBool>,
}

impl Failing {
    async fn start(failing: usize) -> (Self, World) {
        let upstream = Self::default();
        upstream.of_ten.store(failing, SeqCst);
        let answer = async |State(upstream): State<Self>, uri: Uri| {
            let number = upstream.received.fetch_add(1, SeqCst);
            if upstream.is_hanging.load(SeqCst) {
                pending::<()>().await;
            }
            let uuid = uri.path().rsplit('/').next().unwrap().to_owned();
            if number * 7 % 10 < upstream.of_ten.load(SeqCst) {
                (StatusCode::SERVICE_UNAVAILABLE, String::new())
            } else {
                (StatusCode::OK, ROOM.replace("r1", &uuid))
            }
        };
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (upstream, world(address, |settings| settings).await)
    }

    fn received(&self) -> usize {
        self.received.load(SeqCst)
    }
}

/// A read as docs/deploy.md asks for: UNAVAILABLE is repeated once, unless the answer says not to.
async fn read_as_documented(world: &World, number: usize) {
    for _ in 0..2 {
        let request = GetRoomRequest { uuid: format!("r{number}"), ..Default::default() };
        let Err(refused) = world.client.rooms().get_room(request).await else { return };
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        if refused.metadata().get("grpc-retry-pushback-ms").is_some_and(|pause| pause == "-1") {
            return;
        }
    }
}

#[tokio::test]
async fn an_upstream_that_fails_gets_a_tenth_more_than_callers_ask_for() {
    const READS: usize = 1000;
    // As many as can fail without its circuit being opened.
    let (upstream, world) = Failing::start(4).await;
    for number in 0..READS {
        read_as_documented(&world, number).await;
    }
    let extra = upstream.received().saturating_sub(READS);
    assert!(extra <= READS / 10, "{extra} more than {READS}");
    assert!(extra > READS / 20, "{extra}: calls are repeated");
}

#[tokio::test]
async fn an_upstream_that_always_fails_gets_no_more_than_opens_its_circuit() {
    let (upstream, world) = Failing::start(10).await;
    for number in 0..500 {
        read_as_documented(&world, number).await;
    }
    // Twenty, and one that tries for each pause of a second or more.
    assert!(upstream.received() < 35, "{}", upstream.received());
}

#[tokio::test]
async fn the_first_call_that_an_upstream_answers_again_opens_the_way_to_all() {
    let (upstream, world) = Failing::start(10).await;
    for _ in 0..20 {
        create(&world).await.unwrap_err();
    }
    assert_eq!(upstream.received(), 20);
    let refused = create(&world).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "UPSTREAM_CIRCUIT_OPEN", &[]);
    upstream.of_ten.store(0, SeqCst);
    until(async || create(&world).await.is_ok()).await;
    assert_eq!(upstream.received(), 21, "one call tried");
    for _ in 0..20 {
        create(&world).await.unwrap();
    }
}

/// How a read is refused whose caller waits for 700 ms.
async fn hurried(world: &World, number: usize) -> Status {
    let mut request = Request::new(GetRoomRequest { uuid: format!("r{number}"), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", "700m".parse().unwrap());
    world.client.rooms().get_room(request).await.unwrap_err()
}

/// Twenty hurried reads, and more until the circuit is open.
async fn open_by_hurried_reads(world: &World) {
    for refused in join_all((0..20).map(|number| hurried(world, number))).await {
        // CANCELLED where the client notices first.
        assert!(matches!(refused.code(), Code::DeadlineExceeded | Code::Cancelled), "{refused:?}");
    }
    until(async || hurried(world, 20).await.code() == Code::Unavailable).await;
}

#[tokio::test]
async fn creates_that_hang_open_the_circuit_when_their_callers_leave() {
    let (upstream, world) = Failing::start(0).await;
    upstream.is_hanging.store(true, SeqCst);
    let began = Instant::now();
    join_all((0..20).map(|_| create_within(&world, 700))).await;
    until(async || {
        create_within(&world, 700).await.is_err_and(|refused| refused.code() == Code::Unavailable)
    })
    .await;
    // They themselves go on for 14 s.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(upstream.received() < 30, "{}", upstream.received());
}

#[tokio::test]
async fn an_upstream_that_heals_is_noticed_within_the_longest_pause_though_a_try_from_before_hangs() {
    let (upstream, world) = Failing::start(0).await;
    upstream.is_hanging.store(true, SeqCst);
    open_by_hurried_reads(&world).await;
    let sent = upstream.received();
    let client = world.client.clone();
    // The try among these waits for as long as a call may.
    let trying = tokio::spawn(async move {
        let request = GetRoomRequest { uuid: "hanging".to_owned(), ..Default::default() };
        while client.rooms().get_room(request.clone()).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    until(async || upstream.received() > sent).await;
    upstream.is_hanging.store(false, SeqCst);
    let began = Instant::now();
    until(async || read(&world).await.is_ok()).await;
    // The pause is 5 s; the rest is for a busy machine.
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    trying.abort();
}

#[tokio::test]
async fn an_upstream_that_hangs_is_left_alone_though_its_callers_do_not_wait_for_long() {
    let log = Log::start();
    let peer = Peer::start(Answer::Slow("", "")).await;
    let world = world(peer.address, |settings| settings).await;
    open_by_hurried_reads(&world).await;
    let sent = peer.requests();
    assert!(sent < 30, "{sent}");
    let began = Instant::now();
    let mut number = 20;
    while began.elapsed() < Duration::from_secs(4) {
        number += 1;
        hurried(&world, number).await;
        sleep(Duration::from_millis(5)).await;
    }
    // After pauses of 1 s and 2 s.
    let tries = peer.requests() - sent;
    assert!((1..=2).contains(&tries), "{tries} calls tried");
    assert!(
        log.count("reason=\"UPSTREAM_UNREACHABLE\" rpc=\"inkpass.v1.RoomService/GetRoom\"") > 0,
        "{}",
        log.text()
    );
    assert_eq!(
        log.count("host=\"127.0.0.1\" region=\"us-sv\" class=\"reads\" failed=20"),
        1,
        "{}",
        log.text()
    );
}
