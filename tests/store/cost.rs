//! What a claim and its outcome add to a create, with the store on loopback.

use std::time::{Duration, Instant};

use inkpass::proto::CreateRoomRequest;

use super::{create, id, replicas, request};
use crate::helpers::{World, redis::Redis};

/// Prints the figure of docs/figures.md. The limit is wide, because others build and test beside it.
#[tokio::test]
async fn a_claim_and_its_outcome_add_little_to_a_create() {
    let Some(redis) = Redis::plain().await else { return };
    let [world]: [World; 1] = replicas(&redis.settings()).await;
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..300 {
        for (times, request) in times.iter_mut().zip([CreateRoomRequest::default(), request(&id(number))]) {
            let began = Instant::now();
            create(&world, request).await.unwrap();
            times.push(began.elapsed());
        }
    }
    let [without, with] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!("p50 of a create: {without:?} without a request_id, {with:?} with one");
    assert!(with < without + Duration::from_millis(10), "{with:?}, {without:?}");
}
