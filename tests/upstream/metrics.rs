//! What is counted of the whiteboard API: each attempt by what came of it, pauses, repeats and circuits.

use std::time::Duration;

use inkpass::proto::{CreateRoomRequest, GetRoomRequest};
use serde_json::json;
use tonic::Request;

use crate::helpers::{World, scripted::Scripted, until};

/// A figure of a scrape; `None`: there is no such series.
async fn figure(world: &World, series: &str) -> Option<f64> {
    let text = world.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|figure| figure.parse().unwrap())
}

async fn attempts(world: &World, call: &str, kind: &str) -> Option<f64> {
    let labels = format!("{{call=\"{call}\",kind=\"{kind}\",region=\"us-sv\"}}");
    figure(world, &format!("inkpass_upstream_attempts_total{labels}")).await
}

async fn ended(world: &World, call: &str, status: &str) -> Option<f64> {
    let labels = format!("{{call=\"{call}\",region=\"us-sv\",status=\"{status}\"}}");
    figure(world, &format!("inkpass_upstream_call_duration_seconds_count{labels}")).await
}

fn read(uuid: &str) -> GetRoomRequest {
    GetRoomRequest { uuid: uuid.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn each_attempt_is_counted_with_what_came_of_it() {
    let world = World::start().await;
    let uuid = world.room().await;
    assert_eq!(attempts(&world, "CreateRoom", "first").await, Some(1.0));
    assert_eq!(ended(&world, "CreateRoom", "2xx").await, Some(1.0));
    assert_eq!(attempts(&world, "CreateRoom", "retry").await, None);

    let budget = "inkpass_upstream_retry_budget";
    let before = figure(&world, budget).await.unwrap();
    world.upstream.fail_once(&format!("/v5/rooms/{uuid}"), 503).await;
    world.client.rooms().get_room(read(&uuid)).await.unwrap();
    assert_eq!(attempts(&world, "GetRoom", "first").await, Some(1.0));
    assert_eq!(attempts(&world, "GetRoom", "retry").await, Some(1.0));
    assert_eq!(ended(&world, "GetRoom", "5xx").await, Some(1.0));
    assert_eq!(ended(&world, "GetRoom", "2xx").await, Some(1.0));
    assert!(figure(&world, budget).await.unwrap() < before, "a repeat takes from the budget");

    world.client.rooms().get_room(read("nowhere")).await.unwrap_err();
    assert_eq!(ended(&world, "GetRoom", "404").await, Some(1.0));
}

#[tokio::test]
async fn a_read_that_its_callers_gave_up_late_timed_out_and_one_that_they_gave_up_soon_did_not() {
    let world = World::start().await;
    let slow = json!({ "path": "/v5/rooms/a", "count": 2, "kind": "delay", "delay_ms": 20_000 });
    world.upstream.fault(slow).await;
    for (count, millis, timed_out) in [(1, 100, None), (2, 900, Some(1.0))] {
        let mut request = Request::new(read("a"));
        request.set_timeout(Duration::from_millis(millis));
        world.client.rooms().get_room(request).await.unwrap_err();
        until(async || attempts(&world, "GetRoom", "first").await == Some(f64::from(count))).await;
        assert_eq!(ended(&world, "GetRoom", "timeout").await, timed_out);
    }
}

#[tokio::test]
async fn a_pause_that_the_vendor_asks_for_is_counted() {
    let mut upstream = Scripted::new(429, "{}");
    upstream.headers.insert("retry-after", "30".parse().unwrap());
    let world = upstream.start().await;
    let pauses = "inkpass_upstream_pauses_total{region=\"us-sv\"}";
    assert_eq!(figure(&world, pauses).await, Some(0.0));
    for _ in 0..3 {
        world.client.rooms().create_room(CreateRoomRequest::default()).await.unwrap_err();
    }
    assert_eq!(figure(&world, pauses).await, Some(1.0));
    assert_eq!(ended(&world, "CreateRoom", "429").await, Some(1.0), "nothing goes out meanwhile");
}

#[tokio::test]
async fn a_circuit_shows_how_it_stands() {
    let world = World::start().await;
    let circuit = |class: &str, region: &str| {
        format!("inkpass_upstream_breaker_state{{class=\"{class}\",region=\"{region}\"}}")
    };
    assert_eq!(figure(&world, &circuit("writes", "us-sv")).await, Some(0.0));
    let failing = json!({ "path": "/v5/rooms", "count": 20, "kind": "status", "status": 500 });
    world.upstream.fault(failing).await;
    for _ in 0..20 {
        world.client.rooms().create_room(CreateRoomRequest::default()).await.unwrap_err();
    }
    assert_eq!(figure(&world, &circuit("writes", "us-sv")).await, Some(2.0));
    assert_eq!(figure(&world, &circuit("reads", "us-sv")).await, Some(0.0));
    // One call tries it, and closes it.
    until(async || world.client.rooms().create_room(CreateRoomRequest::default()).await.is_ok()).await;
    assert_eq!(figure(&world, &circuit("writes", "us-sv")).await, Some(0.0));
}
