//! Stores of several nodes: Sentinel and Cluster, and what a fail-over does.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use inkpass::store::Settings;
use tonic::{Code, Status};

use super::{create, id, posts, replicas, request};
use crate::helpers::{
    World,
    log::Log,
    redis::{Redis, free_port, settings},
    until,
};

/// As a client does that follows the documented policy: repeats what is UNAVAILABLE, on one replica after the other.
async fn persist(worlds: &[World], number: usize) -> Result<String, Status> {
    for attempt in 0..300 {
        match create(&worlds[(number + attempt) % worlds.len()], request(&id(number))).await {
            Ok(answer) => return Ok(answer.room.unwrap().uuid),
            Err(refused) if refused.code() == Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(refused) => return Err(refused),
        }
    }
    panic!("the store does not come back");
}

/// Creates on after a node was lost, and repeats what was created before it.
async fn assert_holds(worlds: &[World], before: &HashMap<usize, String>, all: usize) {
    let (began, mut unknown) = (Instant::now(), 0);
    let calls = (0..all).map(async |number| (number, persist(worlds, number).await));
    for (number, result) in futures_util::future::join_all(calls).await {
        match result {
            Ok(room) => assert!(before.get(&number).is_none_or(|before| *before == room), "{number}"),
            Err(refused) => {
                assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
                assert!(!before.contains_key(&number), "what a replica of the store had is not forgotten");
                unknown += 1;
            }
        }
    }
    let posts = posts(&worlds[0]).await;
    println!("{all} ids in {:?}: {posts} POSTs, {unknown} unknown", began.elapsed());
    assert!(posts <= all, "{posts} POSTs for {all} ids");
}

async fn create_some(worlds: &[World], count: usize) -> HashMap<usize, String> {
    let calls = (0..count).map(async |number| (number, persist(worlds, number).await.unwrap()));
    futures_util::future::join_all(calls).await.into_iter().collect()
}

/// Gives it a replica and a Sentinel, which calls it `main`.
pub(super) async fn watched_by_a_sentinel(primary: &Redis) -> Option<(Redis, Redis)> {
    let replica = Redis::plain().await?;
    replica.follow(primary).await;
    let monitor = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 5000\n",
        primary.port
    );
    let sentinel = Redis::sentinel(&monitor).await?;
    until(async || sentinel.ask::<String>(&["INFO", "sentinel"]).await.contains("slaves=1")).await;
    Some((replica, sentinel))
}

#[tokio::test]
async fn a_fail_over_by_sentinel_forgets_nothing_that_a_replica_of_the_store_has() {
    let Some(mut primary) = Redis::plain().await else { return };
    let Some((replica, sentinel)) = watched_by_a_sentinel(&primary).await else { return };
    // One of the Sentinels is away.
    let url = format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main", free_port(), sentinel.port);
    let worlds: [World; 2] = replicas(&settings(&url)).await;
    let before = create_some(&worlds, 20).await;
    // What was done last need not be there yet; that it was being done is.
    until(async || replica.keys().await.len() == 20).await;
    until(async || {
        let (here, there) = (offset(&primary).await, offset(&replica).await);
        here == there
    })
    .await;
    primary.kill();
    assert_holds(&worlds, &before, 60).await;

    // The former primary comes back, and is told to follow.
    primary.restart().await;
    // It closes its clients' connections then.
    until(async || {
        let info = primary.try_ask::<String>(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.contains("role:slave"))
    })
    .await;
    assert_holds(&worlds, &before, 80).await;
}

#[tokio::test]
async fn sentinels_that_stand_still_keep_nobody_from_the_master() {
    let Some(primary) = Redis::plain().await else { return };
    let Some((_replica, sentinel)) = watched_by_a_sentinel(&primary).await else { return };
    let mut still = Vec::new();
    for _ in 0..2 {
        let Some(sentinel) = Redis::sentinel("").await else { return };
        sentinel.signal("STOP");
        still.push(sentinel);
    }
    let hosts = still.iter().chain([&sentinel]).map(|sentinel| format!("127.0.0.1:{}", sentinel.port));
    let url = format!("redis+sentinel://{}/main", hosts.collect::<Vec<_>>().join(","));
    let [world]: [World; 1] = replicas(&settings(&url)).await;
    let began = Instant::now();
    persist(&[world], 0).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn sentinels_on_loopback_lead_no_plain_connection_off_it() {
    let Some(sentinel) = Redis::sentinel("sentinel monitor main 192.0.2.1 6379 1\n").await else { return };
    let url = format!("redis+sentinel://:a-password@127.0.0.1:{}/main", sentinel.port);
    let store = settings(&url);
    let log = Log::start();
    let store = Settings { address: store.address.clone().staying_on_loopback(), ..store };
    let [_world]: [World; 1] = replicas(&store).await;
    until(async || log.count("it names a host off loopback") > 0).await;
}

/// How much a node has of what was written.
async fn offset(redis: &Redis) -> String {
    let info: String = redis.ask(&["INFO", "replication"]).await;
    info.lines().find(|line| line.starts_with("master_repl_offset:")).unwrap().to_owned()
}

/// A node of a Cluster.
pub(super) struct Node {
    pub(super) redis: Redis,
    /// Where the others and clients reach it.
    pub(super) port: u16,
    bus: u16,
}

/// Nodes that do not know each other.
pub(super) async fn cluster_nodes(count: usize, arguments: &[&str]) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while nodes.len() < count {
        let bus = free_port();
        let cluster = ["--save", "", "--cluster-enabled", "yes", "--cluster-port", &bus.to_string()];
        let redis = Redis::start(&[&cluster[..], arguments].concat()).await?;
        nodes.push(Node { port: redis.port, redis, bus });
    }
    Some(nodes)
}

/// Makes them one Cluster, in which the first so many have the slots.
pub(super) async fn form_cluster(nodes: &[Node], primaries: usize) {
    for (index, node) in nodes[..primaries].iter().enumerate() {
        let [first, next] = [index, index + 1].map(|index| index * 16384 / primaries);
        let range = [first, next - 1].map(|slot| slot.to_string());
        let _: String = node.redis.ask(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
    }
    for node in &nodes[1..] {
        let [port, bus] = [node.port, node.bus].map(|port| port.to_string());
        let _: String = nodes[0].redis.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
    }
    let known = format!("cluster_known_nodes:{}", nodes.len());
    until(async || {
        for node in nodes {
            let info: String = node.redis.ask(&["CLUSTER", "INFO"]).await;
            if !(info.contains("cluster_state:ok") && info.contains(&known)) {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_node_that_stands_still_takes_no_other_node_s_ids_along() {
    let Some(nodes) = cluster_nodes(2, &["--cluster-node-timeout", "60000"]).await else { return };
    form_cluster(&nodes, 2).await;
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    let [world]: [World; 1] = replicas(&settings(&url)).await;
    create_some(std::slice::from_ref(&world), 40).await;
    let others = nodes[0].redis.keys().await.len();
    nodes[1].redis.signal("STOP");
    // Half of them hang, and are repeated all the while.
    let mut answered = 0;
    for number in 0..40 {
        answered += usize::from(create(&world, request(&id(number))).await.is_ok());
    }
    assert!(answered * 10 >= others * 9, "{answered} of {others}");
    nodes[1].redis.signal("CONT");
    create_some(std::slice::from_ref(&world), 40).await;
}

#[tokio::test]
async fn a_cluster_s_nodes_hold_what_is_theirs_and_a_replica_takes_over() {
    let Some(mut nodes) = cluster_nodes(4, &["--cluster-node-timeout", "1000"]).await else { return };
    form_cluster(&nodes, 3).await;
    let first: String = nodes[0].redis.ask(&["CLUSTER", "MYID"]).await;
    let _: String = nodes[3].redis.ask(&["CLUSTER", "REPLICATE", &first]).await;
    until(async || nodes[0].redis.ask::<String>(&["INFO", "replication"]).await.contains("state=online"))
        .await;

    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[1].redis.port, nodes[2].redis.port);
    let worlds: [World; 2] = replicas(&settings(&url)).await;
    let before = create_some(&worlds, 30).await;
    assert_eq!(posts(&worlds[0]).await, 30);
    for node in &nodes {
        assert!(!node.redis.keys().await.is_empty(), "each node holds some");
    }
    until(async || offset(&nodes[0].redis).await == offset(&nodes[3].redis).await).await;
    nodes[0].redis.kill();
    assert_holds(&worlds, &before, 60).await;
}
