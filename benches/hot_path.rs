//! What the steps of an `IssueToken` cost, each alone: `just bench`. Beside the signer stand its floors: a bare HMAC-SHA256
//! of the same bytes with the key's state ready, and base64 of the same length.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::{
    fs,
    hint::black_box,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use inkpass::{
    assembly::{Components, Environment},
    audit::{self, Audit, Decision, Line, OnFailure, Output},
    caller::{Callers, IssuerSettings, Settings},
    clock::{SystemClock, UnixMillis},
    keyring::{KeyState, Keyring, Project},
    methods::Rpc,
    policy::{AccessRequest, Mint, Rules},
    proto::{
        self, IssueTokenRequest, RoomScope, issue_token_request::Scope as WantedScope,
        token_service_server::TokenService,
    },
    region::Region,
    rpc::Tokens,
    telemetry::Metrics,
    token::{
        Claims, Fingerprint, Fingerprinter, Kind, Lifetime, Nonce, Presented, Role, Scope, SigningKey, Uuid,
        Wanted, verify,
    },
    watcher, whiteboard,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use sha2::Sha256;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;
use tonic::Request;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &[u8] = b"bench-secret-key-of-some-length";
const UUID: &str = "4807c9a44613b4060b1c29d25511b8a8";
const API_KEY: &str = "ik_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
const POLICY: &str = r#"[[grants]]
name = "bench"
principals = ["key:bench", "oidc:bench/bench"]
rpcs = ["inkpass.v1.TokenService/*"]
projects = ["default"]
tokens = [{ kind = "room", strongest_role = "writer" }]
quota = { tokens_per_second = 1000000, burst = 1000000 }
"#;

fn key() -> SigningKey {
    SigningKey::new("bench-access-key", SECRET).unwrap()
}

fn claims(scope: Scope<'_>) -> Claims<'_> {
    Claims { scope, role: Role::Writer, expire_at: UnixMillis::new(1_790_000_000_000) }
}

fn signer(c: &mut Criterion) {
    let (key, nonce) = (key(), Nonce::random([7; 16]));
    let (long, hostile) = ("u".repeat(128), "\u{1f3a8}".repeat(32));
    let scopes = [
        ("sdk", Scope::Sdk),
        ("room", Scope::Room(Uuid::new(UUID).unwrap())),
        ("task", Scope::Task(Uuid::new(UUID).unwrap())),
        ("room, uuid of 128 bytes", Scope::Room(Uuid::new(&long).unwrap())),
        ("room, 128 bytes that are all percent-encoded", Scope::Room(Uuid::new(&hostile).unwrap())),
    ];
    let mut group = c.benchmark_group("sign");
    for (name, scope) in scopes {
        group.bench_function(name, |b| b.iter(|| key.sign(black_box(&claims(scope)), &nonce)));
    }
    group.finish();

    // As long as what a Room token signs, and as its text before base64.
    let (message, text) = ([b'm'; 153], [b't'; 216]);
    let ready = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    let mut group = c.benchmark_group("floors");
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("HMAC-SHA256 of a Room token's message", |b| {
        b.iter(|| ready.clone().chain_update(black_box(&message)).finalize().into_bytes());
    });
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("base64 of a Room token's text", |b| {
        b.iter(|| BASE64_URL_SAFE_NO_PAD.encode(black_box(&text)));
    });
    group.finish();

    let token = key.sign(&claims(scopes[1].1), &nonce);
    let (wanted, now) = (Wanted::default(), UnixMillis::EPOCH);
    c.bench_function("verify a Room token", |b| {
        b.iter(|| {
            let presented = Presented::parse(black_box(token.expose())).unwrap();
            verify(&presented, Some(&key), now, &wanted).unwrap();
        });
    });
    let fingerprinter = Fingerprinter::new(SECRET);
    c.bench_function("fingerprint of a Room token", |b| {
        b.iter(|| fingerprinter.of(black_box(token.expose())));
    });
}

fn secret_file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// An issuer whose keys are served on loopback, and a token of its.
async fn issuer() -> (IssuerSettings, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = EncodingKey::from_ec_der(pair.serialized_der());
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
    jwk["kid"] = "bench".into();
    jwk["use"] = "sig".into();
    let keys = serde_json::json!({ "keys": [jwk] }).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(get(async move || keys));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let header = Header { kid: Some("bench".to_owned()), ..Header::new(Algorithm::ES256) };
    let claims =
        serde_json::json!({ "iss": name, "aud": "inkpass", "sub": "bench", "exp": 4_000_000_000_u64 });
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    let settings = IssuerSettings {
        name: "bench".to_owned(),
        kubernetes: false,
        issuer: name.clone(),
        audience: "inkpass".to_owned(),
        jwks_url: name.parse().unwrap(),
        ca_file: None,
        jwks_token_file: None,
    };
    (settings, token)
}

/// In hexadecimal digits.
fn u256(bytes: &[u8; 32]) -> String {
    let (halves, _) = bytes.as_chunks::<16>();
    format!("{:032x}{:032x}", u128::from_be_bytes(halves[0]), u128::from_be_bytes(halves[1]))
}

fn authenticate(c: &mut Criterion) {
    let (runtime, directory) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let (issuer, token) = runtime.block_on(issuer());
    let sha256 = u256(&<Sha256 as sha2::Digest>::digest(API_KEY).into());
    let keys = format!("[[api_keys]]\nprincipal = \"key:bench\"\nsha256 = \"{sha256}\"\n");
    let settings = Settings {
        api_keys_file: Some(secret_file(directory.path(), "callers.toml", &keys)),
        issuers: vec![issuer],
        ..Settings::default()
    };
    let metrics = Metrics::new([]).unwrap();
    let callers = Arc::new(Callers::new(settings.load().unwrap(), Arc::new(SystemClock), &metrics));
    let running = callers.clone();
    runtime.spawn(async move { running.run(Duration::from_hours(1), CancellationToken::new()).await });

    let api_key = HeaderMap::from_iter([("x-api-key".parse().unwrap(), HeaderValue::from_static(API_KEY))]);
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let jwt = HeaderMap::from_iter([("authorization".parse().unwrap(), bearer)]);
    while runtime.block_on(callers.identify(&jwt, None)).is_err() {
        std::thread::yield_now();
    }
    let mut group = c.benchmark_group("authenticate");
    for (name, headers) in [("API key", api_key), ("JWT, ES256", jwt)] {
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(callers.identify(black_box(&headers), None)).unwrap());
        });
    }
    group.finish();
}

fn decide(c: &mut Criterion) {
    let rules = Rules::parse(POLICY, None, None).unwrap();
    let lifetime = Lifetime::ttl(Duration::from_mins(5)).ok();
    let mint = Some(Mint { kind: Kind::Room, role: Role::Writer, lifetime });
    let request = AccessRequest { rpc: Rpc::IssueToken, project: "default", region: None, mint };
    c.bench_function("decide", |b| {
        b.iter(|| rules.decide("key:bench", black_box(&request)).is_ok());
    });
}

/// As `IssueToken` writes it.
fn line(fingerprints: &[Fingerprint]) -> Line<'_> {
    Line {
        request_id: "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11",
        principal: "key:bench",
        peer: "10.0.0.7",
        project: "default",
        access_key: "bench-access-key",
        kind: Some(Kind::Room),
        role: Some(Role::Writer),
        uuid: UUID,
        lifetime: Lifetime::ttl(Duration::from_hours(1)).ok(),
        expire_at: UnixMillis::new(1_790_000_000_000),
        grant: "bench",
        fingerprints,
        ..Line::new(UnixMillis::EPOCH, Rpc::IssueToken.name(), Decision::Allow)
    }
}

fn audit_line(c: &mut Criterion) {
    let fingerprints = [Fingerprinter::new(SECRET).of("a token")];
    c.bench_function("render an audit line", |b| b.iter(|| black_box(line(&fingerprints)).render()));
}

fn handler(c: &mut Criterion) {
    let (runtime, directory) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let _entered = runtime.enter();
    let keys = vec![(KeyState::Active, Arc::new(key()))];
    let project = Project::new("default", Some(Region::UsSv), keys);
    let keyring = Keyring::new(vec![project], Some("default".to_owned()));
    let upstream = whiteboard::Settings::new("http://127.0.0.1:9".parse().unwrap());
    let mut components =
        Components::open(keyring, &upstream, watcher::Settings::default(), Environment::system()).unwrap();
    let settings = audit::Settings {
        output: Output::File(directory.path().join("audit.log")),
        on_failure: OnFailure::Deny,
        salt_file: None,
    };
    let audit = Audit::start(&settings, components.metrics.audit().clone()).unwrap();
    components.audit = Some(Arc::new(audit));
    let tokens = Tokens::new(components.assemble().services.authorizer.clone());
    let message = IssueTokenRequest {
        scope: Some(WantedScope::Room(RoomScope { uuid: UUID.to_owned(), access_key: String::new() })),
        role: proto::Role::Writer.into(),
        ..IssueTokenRequest::default()
    };
    c.bench_function("the whole handler of IssueToken, with the audit trail on a file", |b| {
        b.iter(|| runtime.block_on(tokens.issue_token(Request::new(message.clone()))).unwrap());
    });
}

criterion_group!(all, signer, authenticate, decide, audit_line, handler);
criterion_main!(all);
