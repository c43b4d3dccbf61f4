//! What is looked up at a scrape: what is in use, what found no place, connections and how they end, the process.

use std::{fmt::Debug, str::FromStr, time::Duration};

use inkpass::clock::{Clock, SystemClock};

use crate::{
    decisions::{POLICY, TestService, watch_a_conversion, watching},
    helpers::{World, raw::Raw, until},
};

async fn figure<T: FromStr<Err: Debug>>(world: &World, series: &str) -> T {
    let text = world.metrics().await;
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{series} in {text}")).parse().unwrap()
}

async fn count(world: &World, series: &str) -> u64 {
    figure(world, series).await
}

#[tokio::test]
async fn a_watch_is_in_flight_until_it_ends() {
    let service = TestService::start(&watching()).await;
    let world = &service.world;
    let in_flight = "inkpass_calls_in_flight{class=\"watches\"}";
    let open = async || {
        let counts = [count(world, "inkpass_watches").await, count(world, in_flight).await];
        let in_use: f64 = figure(world, "inkpass_in_use_ratio{resource=\"watches\"}").await;
        (counts, in_use > 0.0)
    };
    assert_eq!(open().await, ([0, 0], false));
    let teacher = service.teacher().await;
    let watches = [watch_a_conversion(&teacher).await, watch_a_conversion(&teacher).await];
    assert_eq!(open().await, ([2, 2], true));
    assert_eq!(count(world, "inkpass_conversions_followed").await, 2);
    drop(watches);
    until(async || open().await == ([0, 0], false)).await;
}

#[tokio::test]
async fn what_finds_no_place_is_counted_by_what_there_was_none_of() {
    let service = TestService::start(POLICY).await;
    let shed = "inkpass_calls_shed_total{cause=\"share\",resource=\"open_calls\"}";
    assert_eq!(count(&service.world, shed).await, 0);
    let mut raw = Raw::connect(service.world.grpc).await;
    for _ in 0..11 {
        raw.whole_call("/grpc.health.v1.Health/Watch", &[], &[0; 5]).await;
    }
    // Eight may stay open.
    raw.until_ended(3).await;
    assert_eq!(count(&service.world, shed).await, 3);
    let watches = "inkpass_calls_shed_total{cause=\"total\",resource=\"watches\"}";
    assert_eq!(count(&service.world, watches).await, 0);
}

#[tokio::test]
async fn connections_are_counted_when_they_come_and_when_they_break_off() {
    let world = World::start().await;
    let accepted = "inkpass_connections_accepted_total{listener=\"grpc\"}";
    let failed = "inkpass_connections_failed_total{cause=\"http\",listener=\"grpc\"}";
    let before = count(&world, accepted).await;
    assert_eq!(count(&world, failed).await, 0);
    let mut raw = Raw::silent(world.grpc).await;
    raw.send(b"GET / HTTP/1.1\r\nhost: inkpass\r\n\r\n").await;
    raw.closes_within(Duration::from_secs(20)).await.expect("it is closed");
    until(async || count(&world, failed).await == 1).await;
    assert_eq!(count(&world, accepted).await, before + 1);
    assert!(count(&world, "inkpass_connections_limit{listener=\"grpc\"}").await >= 1);
}

#[tokio::test]
async fn the_process_s_figures_are_those_of_the_kernel() {
    let world = World::start().await;
    let threads: usize = figure(&world, "process_threads").await;
    assert!(threads > 1, "the tests' own and the worlds'");
    let resident: f64 = figure(&world, "process_resident_memory_bytes").await;
    assert!((1e6..1e11).contains(&resident), "{resident}");
    let descriptors: [u64; 2] =
        [figure(&world, "process_open_fds").await, figure(&world, "process_max_fds").await];
    assert!(descriptors[0] > 3 && descriptors.is_sorted(), "{descriptors:?}");
    let (started, now): (f64, _) = (figure(&world, "process_start_time_seconds").await, SystemClock.now());
    let age = f64::from(u32::try_from(now.seconds()).unwrap()) - started;
    assert!((-2.0..3600.0).contains(&age), "{age}");
    assert!(figure::<f64>(&world, "process_cpu_seconds_total").await > 0.0);
}
