//! `ConversionService.WatchConversion`, and the client's watch that resumes by itself.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use inkpass::{
    client::Client,
    proto::{
        Conversion, ConversionStatus, ListRoomsRequest, WatchConversionRequest, WatchConversionResponse,
    },
    watcher,
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{ANY_PORT, Setup, WATCH, World, assert_refused, until};

const PPTX: &str = "https://example.com/a.pptx";

async fn watch(world: &World, uuid: &str) -> Streaming<WatchConversionResponse> {
    let request = WatchConversionRequest { uuid: uuid.to_owned(), ..Default::default() };
    world.client.conversions().watch_conversion(request).await.unwrap().into_inner()
}

/// The next state, or `None` at the end. Nothing here takes ten seconds.
async fn next(stream: &mut Streaming<WatchConversionResponse>) -> Result<Option<Conversion>, Status> {
    let message = timeout(Duration::from_secs(10), stream.message()).await.expect("the stream goes on");
    message.map(|answer| answer.map(|answer| answer.conversion.unwrap()))
}

async fn polls(world: &World) -> usize {
    world.upstream.requests().await.iter().filter(|request| request["method"] == "GET").count()
}

async fn until_polls_exceed(world: &World, count: usize) {
    while polls(world).await <= count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_watch_gives_the_state_at_once_then_each_change_and_ends_after_the_last() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut stream = watch(&world, &uuid).await;
    let mut seen = vec![next(&mut stream).await.unwrap().unwrap()];
    assert_eq!(seen[0].status(), ConversionStatus::Waiting);
    assert_sent(&world, "GET", &format!("/v5/projector/tasks/{uuid}"), "us-sv", ("task", "reader")).await;
    let before = polls(&world).await;
    until_polls_exceed(&world, before + 2).await;
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        seen.push(next(&mut stream).await.unwrap().unwrap());
    }
    assert_eq!(next(&mut stream).await.unwrap(), None, "it ends after the last state");
    let progress: Vec<_> = seen.iter().map(|conversion| conversion.converted_percentage).collect();
    assert_eq!(progress, [0, 0, 33, 66, 100], "only changes are told");
    assert_eq!(seen[4].status(), ConversionStatus::Finished);
}

#[tokio::test]
async fn a_conversion_that_has_ended_gives_one_state() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/fail-2060402.pptx").await;
    world.clock.advance(Duration::from_mins(1));
    let mut stream = watch(&world, &uuid).await;
    let conversion = next(&mut stream).await.unwrap().unwrap();
    assert_eq!((conversion.status(), conversion.failure.is_some()), (ConversionStatus::Failed, true));
    assert_eq!(next(&mut stream).await.unwrap(), None);
}

#[tokio::test]
async fn all_watches_of_a_conversion_share_one_poller_which_ends_with_the_last() {
    let poll_interval = Duration::from_secs(1);
    let setup = Setup { watch: watcher::Settings { poll_interval, ..WATCH }, ..Setup::default() };
    let world = setup.start().await;
    let uuid = world.conversion(PPTX).await;
    let (mut streams, began) = (Vec::new(), Instant::now());
    for _ in 0..10 {
        let mut stream = watch(&world, &uuid).await;
        next(&mut stream).await.unwrap().unwrap();
        streams.push(stream);
    }
    // One poller polls once, and then once in each interval at most.
    let polled = polls(&world).await;
    assert!(polled as u128 <= 1 + began.elapsed().as_millis() / poll_interval.as_millis(), "{polled}");
    drop(streams);
    let gone = "\ninkpass_conversions_followed 0\n";
    until(async || world.metrics().await.contains(gone)).await;
    let before = polls(&world).await;
    let mut stream = watch(&world, &uuid).await;
    next(&mut stream).await.unwrap().unwrap();
    assert!(polls(&world).await > before, "it begins with a poll of its own");
}

#[tokio::test]
async fn a_watch_survives_a_hiccup_of_the_upstream() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut stream = watch(&world, &uuid).await;
    assert_eq!(next(&mut stream).await.unwrap().unwrap().status(), ConversionStatus::Waiting);
    for kind in ["reset", "truncate", "html"] {
        world.upstream.fault(json!({ "method": "GET", "path": "/v5", "count": 1, "kind": kind })).await;
    }
    for status in [500, 429] {
        let fault = json!({ "method": "GET", "path": "/v5", "count": 1, "kind": "status", "status": status });
        world.upstream.fault(fault).await;
    }
    let before = polls(&world).await;
    until_polls_exceed(&world, before + 5).await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(next(&mut stream).await.unwrap().unwrap().status(), ConversionStatus::Finished);
}

#[tokio::test]
async fn a_watch_survives_an_open_circuit() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut stream = watch(&world, &uuid).await;
    assert_eq!(next(&mut stream).await.unwrap().unwrap().status(), ConversionStatus::Waiting);
    let down = json!({ "method": "GET", "path": "/v5", "count": 1000, "kind": "status", "status": 500 });
    world.upstream.fault(down).await;
    // The watch's own reads open it, and go on.
    let read = async || world.client.rooms().list_rooms(ListRoomsRequest::default()).await.unwrap_err();
    until(async || read().await.get_error_details().error_info().unwrap().reason == "UPSTREAM_CIRCUIT_OPEN")
        .await;
    assert!(timeout(Duration::from_millis(300), stream.message()).await.is_err(), "it goes on");
    world.upstream.clear_faults().await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(next(&mut stream).await.unwrap().unwrap().status(), ConversionStatus::Finished);
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_or_in_the_stream() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let call =
        Call { world: &world, uuid: &uuid, field: "uuid", missing: "CONVERSION_NOT_FOUND", is_post: false };
    let watch = async |target: Target| {
        let Target { project, access_key, region, uuid } = target;
        let request = WatchConversionRequest { project, access_key, region, uuid };
        let mut stream = world.client.conversions().watch_conversion(request).await?.into_inner();
        next(&mut stream).await.map(|_| ())
    };
    call.refuses_bad_targets(&watch).await;
    for (status, code, reason) in [
        (400, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (401, Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED"),
        (403, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (404, Code::NotFound, "CONVERSION_NOT_FOUND"),
    ] {
        // Another each time: what was read of one a moment ago is told without a read.
        let uuid = format!("never-read-{status}");
        world.upstream.fail_once(&format!("/v5/projector/tasks/{uuid}"), status).await;
        let refused = watch(Target { uuid, ..Target::default() }).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_caller_s_deadline_its_own_or_the_server_s() {
    let setup = Setup {
        watch: watcher::Settings { max_duration: Duration::from_millis(300), ..WATCH },
        ..Setup::default()
    };
    let world = setup.start().await;
    let uuid = world.conversion(PPTX).await;
    let mut stream = watch(&world, &uuid).await;
    next(&mut stream).await.unwrap().unwrap();
    let expired = next(&mut stream).await.unwrap_err();
    assert_refused(&expired, Code::Unavailable, "WATCH_EXPIRED", &[]);

    let mut request = Request::new(WatchConversionRequest { uuid: uuid.clone(), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut stream = world.client.conversions().watch_conversion(request).await.unwrap().into_inner();
    next(&mut stream).await.unwrap().unwrap();
    let over = next(&mut stream).await.unwrap_err();
    assert_refused(&over, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);

    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut stream = watch(&world, &uuid).await;
    next(&mut stream).await.unwrap().unwrap();
    world.stop.send(()).unwrap();
    let stopped = next(&mut stream).await.unwrap_err();
    assert_refused(&stopped, Code::Unavailable, "SHUTTING_DOWN", &[]);
    timeout(Duration::from_secs(10), world.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_client_s_watch_resumes_and_repeats_nothing() {
    let setup = Setup {
        watch: watcher::Settings { max_duration: Duration::from_millis(200), ..WATCH },
        ..Setup::default()
    };
    let world = setup.start().await;
    let uuid = world.conversion(PPTX).await;
    let request = WatchConversionRequest { uuid, ..Default::default() };
    let mut watch = world.client.watch_conversion(request);
    assert_eq!(watch.next().await.unwrap().unwrap().converted_percentage, 0);
    // Two streams expire before anything changes: what comes next comes over a third one.
    let expired = async {
        let line = "inkpass_calls_total{reason=\"WATCH_EXPIRED\",rpc_method=\"inkpass.v1.ConversionService/WatchConversion\",rpc_status_code=\"UNAVAILABLE\"} 2";
        while !world.metrics().await.contains(line) {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_mins(1));
    };
    let (finished, ()) =
        tokio::join!(watch.next(), timeout(Duration::from_secs(20), expired).map(Result::unwrap));
    assert_eq!(finished.unwrap().unwrap().converted_percentage, 100);
    assert_eq!(watch.next().await.unwrap(), None);
}

/// A way to a server that can be cut.
async fn proxy(server: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(server).await.unwrap();
            connections.spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn the_client_s_watch_goes_on_after_its_connection_was_cut() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let (address, mut connections) = proxy(world.grpc).await;
    let client = Client::connect(&format!("http://{address}")).await.unwrap();
    let mut watch = client.watch_conversion(WatchConversionRequest { uuid, ..Default::default() });
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ConversionStatus::Waiting);
    connections.abort_all();
    while connections.join_next().await.is_some() {}
    // Somebody else answers under the same address.
    let listener = TcpListener::bind(address).await.unwrap();
    let server = world.grpc;
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(server).await.unwrap();
        copy_bidirectional(&mut near, &mut far).await
    });
    world.clock.advance(Duration::from_mins(1));
    let finished = timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(finished.status(), ConversionStatus::Finished);
    assert_eq!(watch.next().await.unwrap(), None);
}

#[tokio::test]
async fn the_client_s_watch_outlives_a_hiccup_only_once_it_heard_something() {
    let setup = Setup {
        watch: watcher::Settings { max_duration: Duration::from_millis(200), ..WATCH },
        ..Setup::default()
    };
    let world = setup.start().await;
    let uuid = world.conversion(PPTX).await;
    let request = WatchConversionRequest { uuid, ..Default::default() };
    let html = json!({ "method": "GET", "path": "/v5", "count": 1, "kind": "html" });
    world.upstream.fault(html.clone()).await;
    let other = WatchConversionRequest { uuid: world.conversion(PPTX).await, ..Default::default() };
    let refused = world.client.watch_conversion(other).next().await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);

    let mut watch = world.client.watch_conversion(request);
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ConversionStatus::Waiting);
    // All reads fail for as long as the watch expires and is resumed.
    world.upstream.fault(json!({ "method": "GET", "path": "/v5", "count": 1000, "kind": "html" })).await;
    let heal = async {
        let expired = "rpc_status_code=\"INTERNAL\"} 2";
        while !world.metrics().await.contains(expired) {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_mins(1));
        world.upstream.delete("faults").await;
    };
    let (finished, ()) = tokio::join!(timeout(Duration::from_secs(20), watch.next()), heal);
    assert_eq!(finished.unwrap().unwrap().unwrap().status(), ConversionStatus::Finished);
}
