//! Replicas that share a store: one request id, one room, whichever replica answers. The stores are real.

mod away;
mod claims;
mod cost;
mod failover;
mod processes;
mod quotas;
mod tls;

use std::{sync::Arc, time::Instant};

use inkpass::{
    client::Client,
    clock::{ManualClock, UnixMillis},
    proto::{CreateRoomRequest, CreateRoomResponse},
    store::Settings,
};
use tonic::{Code, Status};

use crate::helpers::{NOW, PATIENCE, Setup, World, assert_refused};

const ID: &str = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11";

fn request(id: &str) -> CreateRoomRequest {
    CreateRoomRequest { request_id: id.into(), ..Default::default() }
}

async fn create(world: &World, request: CreateRoomRequest) -> Result<CreateRoomResponse, Status> {
    world.client.rooms().create_room(request).await.map(tonic::Response::into_inner)
}

/// What must be created in the end. A store that a busy machine leaves no time has not answered in its 200 ms: then nothing
/// was sent, and the caller tries again, as it is told to.
async fn created_by(client: &Client, request: CreateRoomRequest) -> CreateRoomResponse {
    let latest = Instant::now() + PATIENCE;
    loop {
        match client.rooms().create_room(request.clone()).await {
            Ok(created) => return created.into_inner(),
            Err(refused) => {
                assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
                assert!(Instant::now() < latest, "{refused:?}");
            }
        }
    }
}

async fn created(world: &World, request: CreateRoomRequest) -> CreateRoomResponse {
    created_by(&world.client, request).await
}

async fn posts(world: &World) -> usize {
    world.upstream.requests().await.iter().filter(|request| request["method"] == "POST").count()
}

/// So many replicas with one upstream and one store.
async fn replicas<const N: usize>(store: &Settings) -> [World; N] {
    let setup = || Setup { store: Some(store.clone()), ..Setup::default() };
    let first = setup().start().await;
    let upstream = first.upstream.again();
    let mut worlds = vec![first];
    while worlds.len() < N {
        let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
        worlds.push(setup().in_front_of(upstream.again(), clock).await);
    }
    worlds.try_into().unwrap_or_else(|_| unreachable!("there are so many"))
}

/// The nth request id.
fn id(number: usize) -> String {
    format!("6fd0b1d6-8a1c-4f6f-9d55-{number:012x}")
}
