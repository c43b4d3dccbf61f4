//! What the pollers behind the watches ask for, and what ends them.

use std::time::{Duration, Instant};

use inkpass::{
    client,
    proto::{CancelConversionRequest, ConversionStatus, Region, WatchConversionRequest},
    watcher,
};
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::helpers::{Setup, WATCH, World, assert_refused, scripted::Scripted};

const PPTX: &str = "https://example.com/a.pptx";

fn of(uuid: &str) -> WatchConversionRequest {
    WatchConversionRequest { uuid: uuid.to_owned(), ..Default::default() }
}

/// The next status, or `None` at the end. Nothing here takes ten seconds.
async fn next(watch: &mut client::Watch) -> Result<Option<ConversionStatus>, Status> {
    let next = timeout(Duration::from_secs(10), watch.next()).await.expect("the watch goes on");
    next.map(|conversion| conversion.map(|conversion| conversion.status()))
}

async fn polls(world: &World) -> usize {
    world.upstream.requests().await.iter().filter(|request| request["method"] == "GET").count()
}

#[tokio::test]
async fn a_poller_serves_one_conversion_in_one_region_with_one_key() {
    let watch = watcher::Settings { poll_interval: Duration::from_hours(1), ..WATCH };
    let world = Setup { watch, ..Setup::default() }.start().await;
    let (one, two) = (world.conversion(PPTX).await, world.conversion(PPTX).await);
    let mut watches = Vec::new();
    for (request, expected) in [
        (of(&one), 1),
        (of(&one), 1),
        (WatchConversionRequest { region: Region::UsSv.into(), ..of(&one) }, 1),
        (WatchConversionRequest { access_key: "active-key".into(), ..of(&one) }, 1),
        (WatchConversionRequest { access_key: "retiring-key".into(), ..of(&one) }, 2),
        (of(&two), 3),
    ] {
        let mut watch = world.client.watch_conversion(request);
        assert_eq!(next(&mut watch).await.unwrap(), Some(ConversionStatus::Waiting));
        assert_eq!(polls(&world).await, expected);
        watches.push(watch);
    }
    for elsewhere in [
        WatchConversionRequest { region: Region::Eu.into(), ..of(&one) },
        WatchConversionRequest { project: "other".into(), region: Region::UsSv.into(), ..of(&one) },
    ] {
        let refused = next(&mut world.client.watch_conversion(elsewhere)).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "CONVERSION_NOT_FOUND", &[]);
    }
    assert_eq!(polls(&world).await, 5);
}

#[tokio::test]
async fn who_joins_a_poller_that_pauses_is_told_what_is_and_not_what_was() {
    let task = |status: &str| json!({ "uuid": "t1", "type": "static", "status": status }).to_string();
    let upstream = Scripted::new(200, task("Waiting"));
    // After some reads without a change the pauses are far longer than this test.
    let watch = watcher::Settings { poll_interval: Duration::from_millis(200), ..WATCH };
    let world = upstream.start_with(Setup { watch, ..Setup::default() }).await;
    let mut first = world.client.watch_conversion(of("t1"));
    assert_eq!(next(&mut first).await.unwrap(), Some(ConversionStatus::Waiting));
    while upstream.count() < 4 {
        tokio::task::yield_now().await;
    }
    let paused = Instant::now();
    *upstream.body.lock().unwrap() = task("Converting").into();
    tokio::time::sleep(Duration::from_millis(250)).await; // the last read is not fresh any more
    let mut second = world.client.watch_conversion(of("t1"));
    assert_eq!(next(&mut second).await.unwrap(), Some(ConversionStatus::Converting));
    assert_eq!(next(&mut first).await.unwrap(), Some(ConversionStatus::Converting));
    assert!(paused.elapsed() < Duration::from_millis(600), "{:?}", paused.elapsed());
    assert_eq!(upstream.count(), 5);
}

#[tokio::test]
async fn watches_that_come_and_go_read_no_more_often_than_one_that_stays() {
    let watch = watcher::Settings { poll_interval: Duration::from_mins(1), ..WATCH };
    for (status, body) in [(200, r#"{"uuid":"t1","type":"static","status":"Waiting"}"#), (500, "{}")] {
        let upstream = Scripted::new(status, body);
        let world = upstream.start_with(Setup { watch, ..Setup::default() }).await;
        for _ in 0..20 {
            let stream = world.client.conversions().watch_conversion(of("t1")).await;
            let first =
                timeout(Duration::from_secs(10), stream.unwrap().into_inner().message()).await.unwrap();
            assert_eq!(first.is_ok(), status == 200);
        }
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test]
async fn who_watches_after_a_cancel_is_not_told_what_was_before() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let watch = watcher::Settings { poll_interval: Duration::from_millis(500), ..WATCH };
    let world = Setup { watch, ..Setup::default() }.in_front_of(world.upstream, world.clock).await;
    let mut first = world.client.watch_conversion(of(&uuid));
    assert_eq!(next(&mut first).await.unwrap(), Some(ConversionStatus::Waiting));
    let cancel = CancelConversionRequest { uuid: uuid.clone(), ..Default::default() };
    world.client.conversions().cancel_conversion(cancel).await.unwrap();
    let mut second = world.client.watch_conversion(of(&uuid));
    assert_eq!(next(&mut second).await.unwrap(), Some(ConversionStatus::Cancelled));
}

#[tokio::test]
async fn a_watch_that_cannot_begin_says_so_at_once() {
    for (status, body, code, reason, attempts) in [
        (200, "<html>", Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", 1),
        (500, "{}", Code::Unavailable, "UPSTREAM_UNREACHABLE", 1),
        (429, "{}", Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", 3),
    ] {
        let upstream = Scripted::new(status, body);
        let world = upstream.start().await;
        let mut stream = world.client.conversions().watch_conversion(of("t1")).await.unwrap().into_inner();
        let refused = timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap_err();
        assert_refused(&refused, code, reason, &[]);
        assert_eq!(upstream.count(), attempts, "{status}");
    }
}

#[tokio::test]
async fn a_cancelled_conversion_ends_every_watch_of_it() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut watches = [of(&uuid), of(&uuid)].map(|request| world.client.watch_conversion(request));
    for watch in &mut watches {
        assert_eq!(next(watch).await.unwrap(), Some(ConversionStatus::Waiting));
    }
    let cancel = CancelConversionRequest { uuid, ..Default::default() };
    world.client.conversions().cancel_conversion(cancel).await.unwrap();
    for watch in &mut watches {
        assert_eq!(next(watch).await.unwrap(), Some(ConversionStatus::Cancelled));
        assert_eq!(next(watch).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_status_that_is_new_is_told_and_ends_nothing() {
    let task = |status: &str| json!({ "uuid": "t1", "type": "static", "status": status }).to_string();
    let upstream = Scripted::new(200, task("Polishing"));
    let world = upstream.start().await;
    let mut watch = world.client.watch_conversion(of("t1"));
    assert_eq!(next(&mut watch).await.unwrap(), Some(ConversionStatus::Unknown));
    for (status, expected) in
        [("Varnishing", ConversionStatus::Unknown), ("Finished", ConversionStatus::Finished)]
    {
        *upstream.body.lock().unwrap() = task(status).into();
        assert_eq!(next(&mut watch).await.unwrap(), Some(expected));
    }
    assert_eq!(next(&mut watch).await.unwrap(), None);
    let read = upstream.count();
    // The poller ends with the conversion, a moment later: then another one reads.
    let another = async {
        while upstream.count() == read {
            let status = next(&mut world.client.watch_conversion(of("t1"))).await.unwrap();
            assert_eq!(status, Some(ConversionStatus::Finished));
        }
    };
    timeout(Duration::from_secs(10), another).await.unwrap();
}

#[tokio::test]
async fn a_conversion_that_is_forgotten_upstream_ends_its_watch() {
    let world = World::start().await;
    let uuid = world.conversion(PPTX).await;
    let mut watch = world.client.watch_conversion(of(&uuid));
    assert_eq!(next(&mut watch).await.unwrap(), Some(ConversionStatus::Waiting));
    world.clock.advance(Duration::from_hours(7 * 24));
    let refused = next(&mut watch).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "CONVERSION_NOT_FOUND", &[]);
}
