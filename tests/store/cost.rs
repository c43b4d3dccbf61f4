//! What a claim and its outcome add to a create, with the store on loopback.

use std::time::{Duration, Instant};

use inkpass::{client::Client, proto::CreateRoomRequest};

use super::{failover::watched_by_a_sentinel, id, processes::Replica, request};
use crate::helpers::{World, redis::Redis};

/// Prints the figures of docs/figures.md, of the program that `INKPASS_PROGRAM` names. The limit is wide, because others
/// build and test beside it.
#[tokio::test]
async fn a_claim_and_its_outcome_add_little_to_a_create() {
    let (Some(redis), Some(primary)) = (Redis::plain().await, Redis::plain().await) else { return };
    let Some((_replica, sentinel)) = watched_by_a_sentinel(&primary).await else { return };
    let watched = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    for (store, url) in [("alone", redis.url()), ("with a replica, found by Sentinel", watched)] {
        let [without, with] = medians(&url).await;
        println!("p50 of a create, a store {store}: {without:?} without a request_id, {with:?} with one");
        assert!(with < without + Duration::from_millis(10), "{with:?}, {without:?}");
    }
}

/// Of creates without a `request_id` and with one, in turn.
async fn medians(store: &str) -> [Duration; 2] {
    let world = World::on_the_system_s_clock().await;
    let replica = Replica::start(&world.upstream.base_url(), store);
    let client = Client::connect(&replica.server()).await.unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..300 {
        for (times, request) in times.iter_mut().zip([CreateRoomRequest::default(), request(&id(number))]) {
            let began = Instant::now();
            client.rooms().create_room(request).await.unwrap();
            times.push(began.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}
