//! Decisions from request to response: policy, quotas, the audit trail, keys and the clock, wired as in
//! production.

mod audit;
mod audit_faults;
mod chaos;
mod clock;
mod every_rpc;
mod keys;
mod leaked_key;
mod metrics;
mod policy;
pub(crate) mod program;
mod quotas;
mod reload;
mod rotation;
mod stalls;
mod tokens;

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use inkpass::{
    audit::{OnFailure, Output, Settings as AuditSettings},
    caller::{Callers, NewKey, Settings},
    client::{Client, CredentialFile, Options},
    entropy::SystemEntropy,
    proto::{
        BatchIssueTokensRequest, CreateRoomRequest, CreateRoomResponse, DynamicFormat, IssueTokenRequest,
        Role, RoomScope, SdkScope, StartConversionRequest, Token, WatchConversionRequest,
        WatchConversionResponse,
        issue_token_request::{Scope, Validity},
        start_conversion_request,
    },
    store,
};
use serde_json::{Value, json};
use tonic::{Status, Streaming};

use crate::{
    helpers::{PATIENCE, Setup, World, place::Place},
    policy::rules,
};

/// The tests' callers. The policies below grant the first two something.
const CALLERS: [&str; 3] = ["key:teacher", "key:verifier", "key:ungranted"];

/// The policy of most tests.
pub(crate) const POLICY: &str = r#"[[grants]]
name = "classroom"
principals = ["key:teacher"]
rpcs = ["inkpass.v1.TokenService/IssueToken", "inkpass.v1.TokenService/BatchIssueTokens", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv", "eu"]
tokens = [
    { kind = "room", strongest_role = "writer", default_ttl = "10m", max_ttl = "2h", permanent = false },
    { kind = "sdk", strongest_role = "admin", default_ttl = "1m", max_ttl = "1h", permanent = true },
]
[[grants]]
name = "verifier"
principals = ["key:verifier"]
rpcs = ["inkpass.v1.TokenService/VerifyToken"]
projects = ["default"]
"#;

/// The same, and conversions.
pub(crate) fn watching() -> String {
    POLICY.replace(
        "\"inkpass.v1.RoomService/*\"",
        "\"inkpass.v1.RoomService/*\", \"inkpass.v1.ConversionService/*\"",
    )
}

/// Settings under which conversions are read often.
pub(crate) const FAST_WATCHES: &str = "[watch]\npoll_interval = '50ms'";

/// A service that authenticates callers by API key.
pub(crate) struct TestService {
    directory: Place,
    pub(crate) world: World,
}

impl TestService {
    pub(crate) async fn start(policy: &str) -> Self {
        Self::with(policy, &CALLERS, None).await
    }

    /// With an audit trail in a file of its directory.
    pub(crate) async fn audited(policy: &str) -> Self {
        Self::with(policy, &CALLERS, Some((PathBuf::from("audit.log"), OnFailure::Deny))).await
    }

    /// With one that refuses no call.
    pub(crate) async fn recorded(policy: &str) -> Self {
        Self::with(policy, &CALLERS, Some((PathBuf::from("audit.log"), OnFailure::Allow))).await
    }

    async fn with(policy: &str, callers: &[&str], audit: Option<(PathBuf, OnFailure)>) -> Self {
        Self::set_up(policy, callers, audit, Setup::default()).await
    }

    /// A replica of this store, which is to keep so many bytes for it.
    pub(crate) async fn sharing(policy: &str, store: store::Settings, request_id_bytes: usize) -> Self {
        let setup = Setup { store: Some(store), request_id_bytes, ..Setup::default() };
        Self::set_up(policy, &CALLERS, None, setup).await
    }

    async fn set_up(
        policy: &str,
        callers: &[&str],
        audit: Option<(PathBuf, OnFailure)>,
        setup: Setup,
    ) -> Self {
        let directory = Place::new();
        let api_keys_file = Some(write_keys(&directory, callers));
        let audit = audit.map(|(path, on_failure)| AuditSettings {
            output: Output::File(directory.path().join(path)),
            on_failure,
            salt_file: None,
        });
        let setup = Setup {
            rules: rules(policy),
            audit,
            listener: Some(Box::new(move |clock, metrics| {
                let settings = Settings { api_keys_file, ..Settings::default() };
                (None, Some(Arc::new(Callers::new(settings.load().unwrap(), clock.clone(), metrics))))
            })),
            ..setup
        };
        Self { world: setup.start().await, directory }
    }

    pub(crate) async fn client(&self, caller: &str) -> Client {
        self.client_at(self.world.grpc, caller).await
    }

    /// By another way to the service.
    pub(crate) async fn client_at(&self, address: SocketAddr, caller: &str) -> Client {
        connect(&self.directory, format!("http://{address}"), caller).await
    }

    pub(crate) async fn teacher(&self) -> Client {
        self.client("key:teacher").await
    }

    /// Delays the next creation upstream.
    async fn delay_a_creation(&self) {
        let slow = json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 500 });
        self.world.upstream.fault(slow).await;
    }

    /// How many calls the upstream has received.
    pub(crate) async fn sent(&self) -> usize {
        self.world.upstream.requests().await.len()
    }

    /// Waits until the upstream has received so many.
    pub(crate) async fn until_sent(&self, calls: usize) {
        until("the upstream has received it", async || self.sent().await == calls).await;
    }

    /// A file of its directory, such as a caller's key.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Every line of the audit trail so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        crate::audit::read_so_far(&self.directory.path().join("audit.log"))
    }
}

/// A key for each caller, in a file named after it; gives the file of their digests.
fn write_keys(directory: &Place, callers: &[&str]) -> PathBuf {
    let mut digests = String::new();
    for caller in callers {
        let NewKey { key, digest } = NewKey::draw(&SystemEntropy);
        fs::write(directory.path().join(caller), key.as_bytes()).unwrap();
        writeln!(digests, "[[api_keys]]\nprincipal = '{caller}'\nsha256 = '{digest}'").unwrap();
    }
    let path = directory.path().join("callers.toml");
    fs::write(&path, digests).unwrap();
    path
}

async fn connect(directory: &Place, server: String, caller: &str) -> Client {
    let credential = Some(CredentialFile::ApiKey(directory.path().join(caller)));
    Client::connect_with(Options { server, credential, ..Options::default() }).await.unwrap()
}

pub(crate) fn room(uuid: &str, role: Role) -> IssueTokenRequest {
    let scope = Scope::Room(RoomScope { uuid: uuid.to_owned(), access_key: String::new() });
    IssueTokenRequest { scope: Some(scope), role: role.into(), ..Default::default() }
}

fn sdk() -> IssueTokenRequest {
    let scope = Some(Scope::Sdk(SdkScope {}));
    IssueTokenRequest { scope, role: Role::Reader.into(), ..Default::default() }
}

fn millis(millis: i64) -> prost_types::Duration {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
    prost_types::Duration { seconds: millis / 1000, nanos }
}

fn ttl(of: i64) -> Validity {
    Validity::Ttl(millis(of))
}

pub(crate) async fn issue(client: &Client, request: IssueTokenRequest) -> Result<Token, Status> {
    Ok(client.tokens().issue_token(request).await?.into_inner().token.unwrap())
}

async fn batch(client: &Client, requests: Vec<IssueTokenRequest>) -> Result<Vec<Token>, Status> {
    let request = BatchIssueTokensRequest { requests };
    Ok(client.tokens().batch_issue_tokens(request).await?.into_inner().tokens)
}

/// A watch that has begun.
pub(crate) async fn watch_a_conversion(client: &Client) -> Streaming<WatchConversionResponse> {
    let request = StartConversionRequest {
        resource: "https://example.com/a.pptx".to_owned(),
        format: Some(start_conversion_request::Format::DynamicFormat(DynamicFormat::default())),
        ..Default::default()
    };
    let started = client.conversions().start_conversion(request).await.unwrap().into_inner();
    let conversion = started.conversion.unwrap();
    let request = WatchConversionRequest {
        uuid: conversion.uuid,
        access_key: conversion.access_key,
        ..Default::default()
    };
    let mut watch = client.conversions().watch_conversion(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    watch
}

async fn create(client: &Client, request: CreateRoomRequest) -> Result<CreateRoomResponse, Status> {
    Ok(client.rooms().create_room(request).await?.into_inner())
}

/// Waits for a condition, with a timeout.
pub(crate) async fn until(what: &str, is_true: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true().await {
        assert!(Instant::now() < deadline, "it never became true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
