//! One caller fills the memory of `request_id`s, and goes on with new ones: fault case 53.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use inkpass::{
    client::Client,
    clock::{ManualClock, UnixMillis},
    idempotency::{CAPACITY, IdempotencyError, IdempotencyKey, IdempotencyStore, InMemory},
    methods::Rpc,
    proto::{CreateRoomRequest, CreateRoomResponse, Role},
};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::shares::{POLICY, own_share, refusal};
use crate::decisions::{issue, program::Program, room};

async fn create(client: &Client, number: usize) -> Result<CreateRoomResponse, Status> {
    let request_id = format!("00000000-0000-4000-8000-{number:012x}");
    let request = CreateRoomRequest { request_id, ..Default::default() };
    client.rooms().create_room(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whose_request_ids_are_full_is_refused_while_others_create_and_mint() {
    let program = Program::start(POLICY, "[server]\nrequest_id_bytes = 131_072").await;
    let (greedy, other) = (program.client("key:teacher").await, program.client("key:verifier").await);
    let mut kept = 0;
    let refused = loop {
        match create(&greedy, kept).await {
            Ok(_) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refusal(&refused), own_share("request_ids"));
    assert!((64..512).contains(&kept), "{kept}");

    let (stop, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut flood = JoinSet::new();
    for caller in 1..=32 {
        let (greedy, stop, refusals) = (greedy.clone(), stop.clone(), refusals.clone());
        flood.spawn(async move {
            let mut number = caller << 32;
            while !stop.load(Ordering::Relaxed) {
                let refused = create(&greedy, number).await.unwrap_err();
                assert_eq!(refusal(&refused), own_share("request_ids"));
                refusals.fetch_add(1, Ordering::Relaxed);
                number += 1;
            }
        });
    }
    let mut created = 0;
    while created < 50 || refusals.load(Ordering::Relaxed) < 1000 {
        issue(&other, room("abuse", Role::Writer)).await.unwrap();
        if created < 50 {
            create(&other, created).await.unwrap();
            created += 1;
        }
    }
    assert!(create(&greedy, 0).await.unwrap().replayed, "what it created is not forgotten");
    stop.store(true, Ordering::Relaxed);
    flood.join_all().await;
}

/// How long 200 calls of this caller take at best, each with a new `request_id`, and whether they are refused.
async fn best(store: &InMemory, caller: &str, ids: &mut usize) -> (Duration, bool) {
    let (mut best, mut refused) = (Duration::MAX, false);
    for _ in 0..10 {
        let began = Instant::now();
        for _ in 0..200 {
            refused = remember(store, caller, ids).await.is_err();
        }
        best = best.min(began.elapsed());
    }
    (best, refused)
}

async fn remember(store: &InMemory, caller: &str, ids: &mut usize) -> Result<(), IdempotencyError> {
    *ids += 1;
    let request_id = ids.to_string();
    let key = IdempotencyKey { caller: caller.parse().unwrap(), rpc: Rpc::CreateRoom, request_id };
    store.once(key, [0; 32], async { Ok(vec![0; 64]) }.boxed()).await.map(|_| ())
}

#[tokio::test]
async fn a_call_costs_the_same_however_much_is_remembered() {
    let store =
        |capacity| InMemory::new(Arc::new(ManualClock::new(UnixMillis::EPOCH)), TaskTracker::new(), capacity);
    let (empty, full, mut ids) = (store(CAPACITY), store(CAPACITY), 0);
    while remember(&full, "key:greedy", &mut ids).await.is_ok() {}
    assert!(ids > 10_000, "{ids}");
    let (quiet, refused) = best(&empty, "key:other", &mut ids).await;
    assert!(!refused);
    for (caller, is_refused) in [("key:greedy", true), ("key:other", false)] {
        let (time, refused) = best(&full, caller, &mut ids).await;
        assert_eq!(refused, is_refused, "{caller}");
        // One that looked at all of them would take fifty times as long.
        assert!(time < 5 * quiet, "{caller}: {time:?}, {quiet:?} while little is remembered");
    }
}
