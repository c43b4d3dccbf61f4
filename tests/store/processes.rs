//! Replicas as processes, killed while they create: fault case 24, with a store.

use std::{
    collections::HashMap,
    env::var_os,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use inkpass::{client::Client, proto::CreateRoomRequest};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet};
use tonic::{Code, Status};

use super::{id, request};
use crate::{
    command_line::Served,
    helpers::{World, canary, place::Place, redis::Redis, until},
};

/// A replica: `inkpass serve` with a store.
pub(super) struct Replica {
    served: Option<Served>,
    place: Place,
}

impl Replica {
    pub(super) fn start(upstream: &str, store: &str) -> Self {
        let place = Place::new();
        let write = |name: &str, content: &str| {
            fs::write(place.join(name), content).unwrap();
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o440)).unwrap();
        };
        write("access", "active-key");
        write("secret", &canary::secret_of("active-key"));
        write("salt", "a salt of all replicas");
        write("url", store);
        let settings = "[whiteboard]\nbase_url = 'UPSTREAM'\n[store]\nurl_file = 'DIR/url'\n[audit]\n\
             output = 'DIR/audit.log'\nsalt_file = 'DIR/salt'\non_failure = 'allow'\n[projects.default]\n\
             region = 'us-sv'\nkeys = [{ access_key_file = 'DIR/access', secret_key_file = 'DIR/secret', \
             state = 'active' }]\n";
        let directory = place.path().to_str().unwrap();
        write("inkpass.toml", &settings.replace("UPSTREAM", upstream).replace("DIR", directory));
        let mut replica = Self { served: None, place };
        replica.restart();
        replica
    }

    fn restart(&mut self) {
        let any = "127.0.0.1:0";
        let config = self.place.join("inkpass.toml");
        let config = config.to_str().unwrap();
        let arguments =
            ["serve", "--insecure-allow-all", "--listen", any, "--admin-listen", any, "--config", config];
        self.served = Some(Served::start(&arguments));
    }

    pub(super) fn server(&self) -> String {
        self.served.as_ref().unwrap().server()
    }

    /// As by the kernel: nothing is ended in order.
    fn kill(&mut self) {
        self.served.as_ref().unwrap().signal("KILL");
    }
}

async fn create(server: &str, request: CreateRoomRequest) -> Result<String, Status> {
    let client = Client::connect(server).await.map_err(|error| Status::unavailable(error.to_string()))?;
    let created = client.rooms().create_room(request).await?.into_inner();
    Ok(created.room.unwrap().uuid)
}

#[tokio::test]
async fn an_owner_that_is_killed_between_its_post_and_its_outcome_leaves_it_unknown_everywhere() {
    let Some(redis) = Redis::plain().await else { return };
    let world = World::on_the_system_s_clock().await;
    let upstream = world.upstream.base_url();
    let (mut first, second) =
        (Replica::start(&upstream, &redis.url()), Replica::start(&upstream, &redis.url()));
    world.upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 3000 })).await;
    let server = first.server();
    let creating = tokio::spawn(async move { create(&server, request(&id(0))).await });
    until(async || world.upstream.requests().await.len() == 1).await;
    first.kill();
    creating.await.unwrap().unwrap_err();

    // Another replica waits for the outcome, until nobody can have it any more.
    let server = second.server();
    let repeated = tokio::spawn(async move { create(&server, request(&id(0))).await });
    redis.pass(Duration::from_secs(21)).await;
    let refused = repeated.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    first.restart();
    let refused = create(&first.server(), request(&id(0))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert_eq!(world.upstream.requests().await.len(), 1);
}

/// `INKPASS_CREATES`: how many ids; 10,000 make docs/figures.md's line.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_replicas_and_the_store_are_killed_no_id_has_a_second_post() {
    let Some(redis) = Redis::durable().await else { return };
    let creates: usize =
        var_os("INKPASS_CREATES").map_or(200, |creates| creates.to_str().unwrap().parse().unwrap());
    let world = World::on_the_system_s_clock().await;
    let upstream = world.upstream.base_url();
    let replicas: Vec<_> = (0..3).map(|_| Replica::start(&upstream, &redis.url())).collect();
    let servers: Vec<_> = replicas.iter().map(|replica| Arc::new(Mutex::new(replica.server()))).collect();
    let (next, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));

    let killer = tokio::spawn(kill_on(replicas, servers.clone(), redis, is_over.clone()));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (servers, next) = (servers.clone(), next.clone());
        callers.spawn(async move {
            let mut ends = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= creates {
                    return ends;
                }
                ends.push((number, persist(&servers, number).await));
            }
        });
    }
    let ends: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    is_over.store(true, Ordering::SeqCst);
    let kills = killer.await.unwrap();

    let mut posts: HashMap<u64, usize> = HashMap::new();
    for request in world.upstream.requests().await {
        *posts.entry(request["body"]["limit"].as_u64().unwrap()).or_default() += 1;
    }
    let twice = posts.values().filter(|posts| **posts > 1).count();
    let made = ends.iter().filter(|(_, is_made)| *is_made).count();
    println!(
        "{creates} creates, {kills} kills: {made} rooms, {} unknown, {twice} second POSTs",
        creates - made
    );
    assert_eq!((ends.len(), twice), (creates, 0));
    assert!(ends.iter().all(|(number, is_made)| !is_made || posts[&limit(*number)] == 1));
    assert!(kills > 2 && made > creates / 2, "{kills} kills, {made} made");
}

/// An id's room has a limit of its own, by which its POST is known.
fn limit(number: usize) -> u64 {
    number as u64 + 1
}

/// Repeats a create as the documented policy allows; whether it made a room.
async fn persist(servers: &[Arc<Mutex<String>>], number: usize) -> bool {
    let request = CreateRoomRequest { limit: i32::try_from(limit(number)).unwrap(), ..request(&id(number)) };
    for attempt in number.. {
        let server = servers[attempt % servers.len()].lock().await.clone();
        match create(&server, request.clone()).await {
            Ok(_) => return true,
            Err(refused) if refused.code() == Code::Aborted => return false,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    unreachable!("it is repeated without an end")
}

/// Kills one after the other, and starts it again.
async fn kill_on(
    mut replicas: Vec<Replica>,
    servers: Vec<Arc<Mutex<String>>>,
    mut redis: Redis,
    is_over: Arc<AtomicBool>,
) -> usize {
    let mut kills = 0;
    while !is_over.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let victim = kills % 4;
        if let Some(replica) = replicas.get_mut(victim) {
            replica.kill();
            replica.restart();
            *servers[victim].lock().await = replica.server();
        } else if kills % 8 == 3 {
            redis.restart().await;
        } else {
            redis.signal("STOP");
            tokio::time::sleep(Duration::from_millis(300)).await;
            redis.signal("CONT");
        }
        kills += 1;
    }
    kills
}
