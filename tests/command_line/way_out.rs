//! The way out of the program: proxies by variables, and a name server that does not answer.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use inkpass::{
    client::Client,
    proto::{CreateRoomRequest, IssueTokenRequest, Role, SdkScope, issue_token_request::Scope},
};
use tonic::Code;

use super::{Served, inkpass, program};
use crate::{
    helpers::{ca::Ca, canary::secret_of, place::Place, skipped, until},
    upstream::{proxy::Proxy, tls},
};

/// The upstream and two issuers, each on a port of its own that counts its connections.
struct Servers {
    ca: Ca,
    upstream: SocketAddr,
    cluster: (SocketAddr, Arc<AtomicUsize>),
    login: (SocketAddr, Arc<AtomicUsize>),
}

impl Servers {
    async fn start() -> Self {
        let ca = Ca::new("one");
        let issuer = async || {
            let count = Arc::new(AtomicUsize::new(0));
            let counted = count.clone();
            let address = tls::listen(&ca, tls::loopback(), b"http/1.1", move |stream| {
                counted.fetch_add(1, SeqCst);
                tls::answer_a_room(stream)
            });
            (address.await, count)
        };
        let (cluster, login) = (issuer().await, issuer().await);
        let upstream = tls::listen(&ca, tls::loopback(), b"http/1.1", tls::answer_a_room).await;
        for (name, text, mode) in
            [("access", "an-access-key".to_owned(), 0o644), ("secret", secret_of("an-access-key"), 0o400)]
        {
            fs::write(ca.path(name), text).unwrap();
            fs::set_permissions(ca.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        Self { ca, upstream, cluster, login }
    }

    /// Starts the service, which asks the upstream about its key and both issuers for theirs, and stops it.
    async fn serve(&self, more: &str, variables: &[(&str, String)]) {
        let Self { ca, upstream, cluster, login } = self;
        let directory = ca.path("").display().to_string();
        let issuer = |name: &str, (address, _): &(SocketAddr, _), more: &str| {
            format!(
                r#"{{ name = "{name}", issuer = "https://{name}", audience = "inkpass", ca_file = "{directory}ca.crt",
                     jwks_url = "https://{address}/keys"{more} }}"#
            )
        };
        let settings = format!(
            r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[whiteboard]
base_url = "https://{upstream}"
ca_file = "{directory}ca.crt"
try_new_keys = true
{more}
[projects.default]
region = "us-sv"
keys = [{{ access_key_file = "{directory}access", secret_key_file = "{directory}secret", state = "active" }}]
[identity]
issuers = [{}, {}]
"#,
            issuer("cluster", cluster, ", kubernetes = true"),
            issuer("login", login, ""),
        );
        ca.write("inkpass.toml", &settings);
        let before = [&cluster.1, &login.1].map(|count| count.load(SeqCst));
        let mut command = inkpass(&[
            "serve",
            "--insecure-allow-all",
            "--config",
            ca.path("inkpass.toml").to_str().unwrap(),
        ]);
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let _served = Served::run(command);
        until(async || {
            let now = [&cluster.1, &login.1].map(|count| count.load(SeqCst));
            now.iter().zip(&before).all(|(now, before)| now > before)
        })
        .await;
    }
}

#[tokio::test]
async fn the_variables_or_the_setting_name_the_proxy_and_a_cluster_s_issuer_needs_none() {
    let servers = Servers::start().await;
    let (proxy, other) = (Proxy::opening().await, Proxy::opening().await);
    let url = |proxy: &Proxy| format!("http://{}", proxy.address);
    let setting = format!("proxy = \"{}\"", url(&proxy));
    let no_proxy = ("NO_PROXY", "127.0.0.1".to_owned());
    for (more, variables, is_through) in [
        ("", vec![], false),
        ("", vec![("HTTPS_PROXY", url(&proxy))], true),
        ("", vec![("https_proxy", url(&proxy))], true),
        ("", vec![("all_proxy", url(&proxy))], true),
        ("", vec![("HTTPS_PROXY", url(&proxy)), ("ALL_PROXY", url(&other))], true),
        ("", vec![("HTTP_PROXY", url(&other))], false),
        ("", vec![("HTTPS_PROXY", url(&other)), no_proxy.clone()], false),
        (&*setting, vec![], true),
        (&*setting, vec![("HTTPS_PROXY", url(&other)), no_proxy], true),
    ] {
        proxy.asked.lock().unwrap().clear();
        servers.serve(more, &variables).await;
        let mut targets = proxy.targets();
        targets.sort();
        targets.dedup();
        let mut expected =
            [servers.upstream, servers.login.0].map(|address| format!("CONNECT {address} HTTP/1.1"));
        expected.sort();
        let expected: &[_] = if is_through { &expected } else { &[] };
        assert_eq!(targets, expected, "{more} {variables:?}");
        assert_eq!(other.targets().len(), 0, "{more} {variables:?}");
    }
}

/// An address of loopback that is nobody's.
const NAME_SERVER: &str = "127.53.53.53";

const SETTINGS: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[whiteboard]
base_url = "http://whiteboard.example"
allow_plaintext = true
[audit]
output = "DIR/audit.log"
[projects.default]
region = "us-sv"
keys = [{ access_key_file = "DIR/access", secret_key_file = "DIR/secret", state = "active" }]
"#;

#[tokio::test]
async fn while_names_are_looked_up_without_an_end_few_threads_wait_and_tokens_are_signed() {
    let Ok(_silent) = UdpSocket::bind((NAME_SERVER, 53)) else {
        return skipped::not_possible("only root may be a name server");
    };
    if !skipped::succeeds("unshare", &["--mount", "true"]) {
        return;
    }
    let place = Place::new();
    let directory = place.path().to_str().unwrap();
    for (name, text) in [
        ("access", "an-access-key".to_owned()),
        ("secret", secret_of("an-access-key")),
        ("inkpass.toml", SETTINGS.replace("DIR", directory)),
        ("resolv.conf", format!("nameserver {NAME_SERVER}\n")),
    ] {
        fs::write(place.join(name), text).unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o400)).unwrap();
    }
    let script = "mount --bind \"$1/resolv.conf\" /etc/resolv.conf && exec \"$0\" serve --insecure-allow-all \
                  --config \"$1/inkpass.toml\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(program()).arg(directory);
    let served = Served::run(command);
    let client = Client::connect(&served.server()).await.unwrap();

    let began = Instant::now();
    let creating: Vec<_> = (0..24)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.rooms().create_room(CreateRoomRequest::default()).await })
        })
        .collect();
    let mut signed = 0;
    let mut threads = 0;
    while creating.iter().any(|create| !create.is_finished()) {
        let scope = Some(Scope::Sdk(SdkScope {}));
        let request = IssueTokenRequest { scope, role: Role::Reader.into(), ..Default::default() };
        client.tokens().issue_token(request).await.unwrap();
        signed += 1;
        let tasks = fs::read_dir(format!("/proc/{}/task", served.process.id())).unwrap();
        threads = threads.max(tasks.count());
    }
    for refused in join_all(creating).await {
        assert_eq!(refused.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Eight wait for names, and the others are there anyway.
    assert!(threads < 8 + 20, "{threads}");
    assert!(signed > 20, "{signed}");
}
