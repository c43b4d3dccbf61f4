//! Stores behind TLS, with users who may do what is needed and no more.

use std::{fs, path::Path};

use inkpass::store::Settings;
use rcgen::SanType;
use tonic::Code;

use super::{
    ID, create, created,
    failover::{cluster_nodes, form_cluster},
    id, posts, replicas, request,
};
use crate::helpers::{
    World, assert_refused,
    ca::Ca,
    redis::{Redis, free_port, settings},
    until,
};

/// What docs/replicas.md says that a user needs.
const RULES: &str = "on >a-password ~inkpass:* +eval +get +set +del +pttl +time +info +wait";

/// What it says of one in a database other than 0, and of one in a Cluster.
const OF_A_DATABASE: &str = "+select";
const OF_A_CLUSTER: &str = "+cluster|slots +asking";

/// A server's arguments for TLS, with a certificate for 127.0.0.1 alone.
fn tls(ca: &Ca) -> [String; 8] {
    let (certificate, key) = ca.sign("tls", vec![SanType::IpAddress([127, 0, 0, 1].into())]);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key, roots) = (text(&certificate), text(&key), text(&ca.path("ca.crt")));
    let [of_certificate, of_key, of_roots, of_clients] =
        ["cert-file", "key-file", "ca-cert-file", "auth-clients"].map(|name| format!("--tls-{name}"));
    [of_certificate, certificate, of_key, key, of_roots, roots, of_clients, "no".to_owned()]
}

/// The same, as lines of a file.
fn lines(arguments: &[String]) -> String {
    let (pairs, _) = arguments.as_chunks();
    let line = |[name, value]: &[String; 2]| [name.trim_start_matches('-'), " ", value, "\n"].concat();
    pairs.iter().map(line).collect::<Vec<_>>().concat()
}

/// The arguments that make the user.
fn user(more: &str) -> Vec<String> {
    let rules = ["--user", "inkpass"].into_iter().chain(RULES.split(' ')).chain(more.split_whitespace());
    rules.map(ToOwned::to_owned).collect()
}

fn trusting(url: &str, ca: &Ca) -> Settings {
    let settings = settings(url);
    let address = settings.address.clone().with_roots(&fs::read(ca.path("ca.crt")).unwrap());
    Settings { address, ..settings }
}

fn all<'a>(arguments: &[&'a [String]]) -> Vec<&'a str> {
    arguments.iter().flat_map(|arguments| arguments.iter().map(|argument| &**argument)).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_store_behind_tls_takes_a_user_who_may_do_what_is_needed_and_nobody_else() {
    let (ca, other, port) = (Ca::new("store"), Ca::new("other"), free_port());
    let plain = words(&format!("--save  --tls-port {port}"));
    let Some(redis) = Redis::start(&all(&[&plain, &tls(&ca), &user("")])).await else { return };

    let url = |password: &str, host: &str| format!("rediss://inkpass:{password}@{host}:{port}");
    for (store, is_taken) in [
        (trusting(&url("a-password", "127.0.0.1"), &ca), true),
        (trusting(&url("a-password", "127.0.0.1"), &other), false),
        (trusting(&url("a-password", "localhost"), &ca), false),
        (trusting(&url("another", "127.0.0.1"), &ca), false),
        (settings(&url("a-password", "127.0.0.1")), false),
    ] {
        let [world]: [World; 1] = replicas(&store).await;
        let created = create(&world, request(ID)).await;
        match created {
            Ok(created) => assert!(is_taken && !created.replayed),
            Err(refused) => {
                assert!(!is_taken, "{refused:?}");
                assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE", &[]);
            }
        }
    }
    assert_eq!(redis.keys().await.len(), 1);
}

#[tokio::test]
async fn sentinels_behind_tls_name_a_store_behind_tls_and_want_no_credential_the_store_s_or_their_own() {
    let (ca, port) = (Ca::new("store"), free_port());
    let plain = words(&format!("--save  --tls-port {port} --tls-replication yes"));
    let user = user(OF_A_DATABASE);
    let Some(redis) = Redis::start(&all(&[&plain, &tls(&ca), &user])).await else { return };
    let rules = "+role +sentinel|masters";
    for (number, (guard, own)) in [
        ("", ""),
        ("requirepass a-password\n", ""),
        (&*format!("user default off\nuser inkpass on >a-password {rules}\n"), ""),
        ("requirepass an@other\n", "?sentinel=:an%40other"),
        (&format!("user default off\nuser watcher on >another {rules}\n"), "?sentinel=watcher:another"),
    ]
    .into_iter()
    .enumerate()
    {
        let sentinel_port = free_port();
        let tls = lines(&tls(&ca));
        let Some(_sentinel) = Redis::sentinel(&format!(
            "tls-port {sentinel_port}\ntls-replication yes\n{tls}{guard}sentinel monitor main 127.0.0.1 {port} 1\n"
        ))
        .await
        else {
            return;
        };
        // Whoever wants the store's password alone has a store that does so too.
        let name = if guard == "requirepass a-password\n" { "" } else { "inkpass" };
        let url = format!("rediss+sentinel://{name}:a-password@127.0.0.1:{sentinel_port}/main/{number}{own}");
        if name.is_empty() {
            let _: String = redis.ask(&["CONFIG", "SET", "requirepass", "a-password"]).await;
        }
        let [world]: [World; 1] = replicas(&trusting(&url, &ca)).await;
        // Once the Sentinel has a connection to it, too.
        until(async || create(&world, request(ID)).await.is_ok()).await;
        assert!(created(&world, request(ID)).await.replayed, "{guard}");
    }
}

#[tokio::test]
async fn a_cluster_behind_tls_sends_on_to_its_nodes_behind_tls() {
    let ca = Ca::new("store");
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let port = free_port();
        let arguments = words(&format!("--tls-cluster yes --tls-replication yes --tls-port {port}"));
        let node = cluster_nodes(1, &all(&[&arguments, &tls(&ca), &user(OF_A_CLUSTER)])).await;
        let Some([mut node]) = node.map(|nodes| <[_; 1]>::try_from(nodes).ok().unwrap()) else { return };
        node.port = port;
        nodes.push(node);
    }
    form_cluster(&nodes, 2).await;
    // One is named, and names the other.
    let url = format!("rediss+cluster://inkpass:a-password@127.0.0.1:{}", nodes[0].port);
    let worlds: [World; 2] = replicas(&trusting(&url, &ca)).await;
    for number in 0..20 {
        for world in &worlds {
            created(world, request(&id(number))).await;
        }
    }
    assert_eq!(posts(&worlds[0]).await, 20);
    // A slot is on its way from one to the other, with all that it holds; then it is there.
    let [from, to] = &nodes[..] else { unreachable!("there are two") };
    let keys = [from.redis.keys().await, to.redis.keys().await];
    assert!(keys.iter().all(|keys| !keys.is_empty()), "each node holds some");
    let (key, port) = (&keys[0][0], to.port.to_string());
    let slot: u16 = from.redis.ask(&["CLUSTER", "KEYSLOT", key]).await;
    let slot = slot.to_string();
    let mut names = Vec::new();
    for node in [from, to] {
        names.push(node.redis.ask::<String>(&["CLUSTER", "MYID"]).await);
    }
    let _: String = to.redis.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &names[0]]).await;
    let _: String = from.redis.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &names[1]]).await;
    let _: String = from.redis.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    assert_replayed(&worlds).await;
    for node in [to, from] {
        let _: String = node.redis.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &names[1]]).await;
    }
    assert_replayed(&worlds).await;
}

async fn assert_replayed(worlds: &[World]) {
    for number in 0..20 {
        for world in worlds {
            assert!(created(world, request(&id(number))).await.replayed, "{number}");
        }
    }
}
