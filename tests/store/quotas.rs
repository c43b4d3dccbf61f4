//! Quotas that hold across replicas.

use std::time::{Duration, Instant};

use inkpass::{
    idempotency::CAPACITY,
    methods::{Cost, Rpc},
    policy::{Rules, SharedQuotas},
    proto::Role,
    store::{Settings, Store},
    telemetry::Metrics,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::failover::{cluster_nodes, form_cluster};
use crate::{
    decisions::{TestService, issue, room},
    helpers::{
        log::Log,
        redis::{Redis, settings},
        until,
    },
    policy::rules,
};

const CALLER: &str = "key:billing";
const RATE: usize = 50;
const BURST: usize = 100;
/// A tenth of the burst.
const PORTION: usize = 10;

/// A replica: its own policy, and its own connection to the store.
struct Replica {
    rules: Rules,
    shared: SharedQuotas,
}

impl Replica {
    fn new(redis: &Redis) -> Self {
        Self::at(&redis.url())
    }

    fn at(url: &str) -> Self {
        let rules = rules(&format!(
            "[[grants]]\nname = 'g'\nprincipals = ['{CALLER}']\nrpcs = ['inkpass.v1.TokenService/IssueToken']\n\
             projects = ['default']\ntokens = [{{ kind = 'room', strongest_role = 'writer' }}]\n\
             quota = {{ tokens_per_second = {RATE}, burst = {BURST} }}\n"
        ));
        let metrics = Metrics::new(["m"]).unwrap().store().clone();
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let store = Store::new(settings(url).address, metrics, tasks.clone(), stopping.clone());
        Self { rules, shared: SharedQuotas::new(store, tasks, stopping) }
    }

    async fn take(&self, tokens: u32) -> Result<(), Option<Duration>> {
        let cost = Cost { tokens, ..Rpc::IssueToken.cost(0) };
        let charged = self.rules.grants()[0].charge_shared(CALLER, cost, Instant::now(), &self.shared).await;
        charged.map(drop).map_err(|exceeded| exceeded.retry_after)
    }

    /// Takes as much as it gets until then.
    async fn grab(&self, until: Instant) -> usize {
        let mut taken = 0;
        while Instant::now() < until {
            match self.take(1).await {
                Ok(()) => taken += 1,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        taken
    }
}

#[tokio::test]
async fn greedy_replicas_together_give_what_the_policy_says_and_a_portion_each() {
    let Some(redis) = Redis::plain().await else { return };
    // Not each time on a busy machine, which takes the store for away.
    until(async || {
        let _: String = redis.ask(&["FLUSHALL"]).await;
        let replicas = [(); 3].map(|()| Replica::new(&redis));
        let began = Instant::now();
        let until = began + Duration::from_secs(2);
        let taken = futures_util::future::join_all(replicas.iter().map(|replica| replica.grab(until))).await;
        let (taken, time): (usize, _) = (taken.iter().sum(), began.elapsed());
        let most = u128::try_from(BURST + 3 * PORTION).unwrap() + 1 + RATE as u128 * time.as_millis() / 1000;
        println!("{taken} of {most} in {time:?}");
        // All of it is given to those who ask.
        taken as u128 <= most && taken >= BURST + RATE * 3 / 2
    })
    .await;
    assert_eq!(redis.keys().await.len(), 1);
}

/// How many tokens a caller gets that asks both replicas for 30 each, at once.
async fn both_give(redis: &Redis, share_quotas: bool) -> usize {
    let policy = "[[grants]]\nname = 'g'\nprincipals = ['key:teacher']\nprojects = ['default']\n\
                  rpcs = ['inkpass.v1.TokenService/*']\n\
                  tokens = [{ kind = 'room', strongest_role = 'writer' }]\n\
                  quota = { tokens_per_second = 1, burst = 30 }\n";
    let mut given = 0;
    for _ in 0..2 {
        let settings = Settings { share_quotas, ..redis.settings() };
        let service = TestService::sharing(policy, settings, CAPACITY).await;
        let teacher = service.teacher().await;
        for _ in 0..30 {
            given += usize::from(issue(&teacher, room("r", Role::Writer)).await.is_ok());
        }
    }
    given
}

#[tokio::test]
async fn a_service_shares_its_callers_quotas_if_that_is_set() {
    let Some(redis) = Redis::plain().await else { return };
    // Not each time on a busy machine, which takes the store for away.
    until(async || {
        let _: String = redis.ask(&["FLUSHALL"]).await;
        let began = Instant::now();
        let shared = both_give(&redis, true).await;
        let most = 30 + 2 * 3 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        assert!(shared >= 30, "{shared}");
        shared <= most
    })
    .await;
    assert_eq!(both_give(&redis, false).await, 60);
}

#[tokio::test]
async fn a_burst_may_be_taken_at_once_and_is_then_gone_for_all() {
    let Some(redis) = Redis::plain().await else { return };
    let [first, second] = [(); 2].map(|()| Replica::new(&redis));
    first.take(90).await.unwrap();
    let wait = second.take(90).await.unwrap_err().unwrap();
    assert!(wait > Duration::from_millis(500) && wait <= Duration::from_secs(2), "{wait:?}");
    second.take(5).await.unwrap();
}

#[tokio::test]
async fn with_the_store_away_each_replica_gives_its_own_figure_and_nobody_waits() {
    let Some(mut redis) = Redis::plain().await else { return };
    let replicas = [(); 2].map(|()| Replica::new(&redis));
    for replica in &replicas {
        replica.take(1).await.unwrap();
    }
    redis.kill();
    for replica in &replicas {
        replica.take(80).await.unwrap();
        let began = Instant::now();
        for _ in 0..15 {
            replica.take(1).await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    }
    redis.restart().await;
    let written = async || !redis.keys().await.is_empty();
    until(async || {
        let _ = replicas[0].take(1).await;
        written().await
    })
    .await;
}

#[tokio::test]
async fn a_node_that_stands_still_is_away_until_it_answers_itself() {
    let Some(nodes) = cluster_nodes(3, &["--cluster-node-timeout", "60000"]).await else { return };
    form_cluster(&nodes, 3).await;
    let replica = Replica::at(&format!("redis+cluster://127.0.0.1:{}", nodes[1].port));
    let log = Log::start();
    let asked = async || {
        let _ = replica.take(1).await;
        !nodes[0].redis.keys().await.is_empty()
    };
    until(asked).await;
    let away = || log.count("the store is away");
    let before = away();
    nodes[0].redis.signal("STOP");
    // The others answer all the while.
    replica.grab(Instant::now() + Duration::from_secs(3)).await;
    assert!(away() <= before + 1, "{}", log.text());
    nodes[0].redis.signal("CONT");
    until(async || log.count("the store is back") == away()).await;
}

#[tokio::test]
async fn a_figure_that_somebody_else_wrote_bars_nobody_for_longer_than_an_empty_bucket() {
    let Some(redis) = Redis::plain().await else { return };
    let replica = Replica::new(&redis);
    // Not at once on a busy machine, which takes the store for away.
    until(async || {
        let _ = replica.take(1).await;
        !redis.keys().await.is_empty()
    })
    .await;
    let [key] = &*redis.keys().await else { panic!("one key") };
    for forged in ["9e300", "nan", "x", "-1"] {
        let _: String = redis.ask(&["SET", key, forged]).await;
        until(async || replica.take(11).await.is_ok()).await;
    }
}
