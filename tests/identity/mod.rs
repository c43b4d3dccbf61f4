//! Who may call, from the wire to the answer: real TLS, real certificates, real files.

mod listener;
pub(crate) mod other_stack;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use inkpass::{
    caller::{Callers, NewKey, Settings},
    client::{Client, ConnectError, CredentialFile, Options},
    entropy::SystemEntropy,
    proto::{CreateRoomRequest, IssueTokenRequest, Role, SdkScope, issue_token_request::Scope},
    tls::Tls,
};
use rcgen::SanType;
use tonic::{Code, Status};

use crate::helpers::{Setup, World, assert_refused, ca::Ca};

const ID: &str = "spiffe://example.org/ns/classroom/sa/api";

/// A service behind TLS that authenticates callers by certificate and by API key.
struct TlsService {
    ca: Ca,
    world: World,
    grpc: SocketAddr,
}

impl TlsService {
    async fn start() -> Self {
        let ca = Ca::new("one");
        let (tls, callers) =
            (ca.settings(), Settings { api_keys_file: Some(Self::keys(&ca)), ..by_spiffe() });
        let (tls_ca_file, api_key) = (Some(ca.path("ca.crt")), ca.path("api-key"));
        let setup = Setup {
            listener: Some(Box::new(move |clock, metrics| {
                let callers = Callers::new(callers.load().unwrap(), clock.clone(), metrics);
                (Some(Arc::new(Tls::load(tls, clock.clone()).unwrap())), Some(Arc::new(callers)))
            })),
            connect: Some(Box::new(move |grpc| {
                let credential = Some(CredentialFile::ApiKey(api_key));
                Options { server: format!("https://{grpc}"), tls_ca_file, credential, ..Options::default() }
            })),
            ..Setup::default()
        };
        let world = setup.start().await;
        let grpc = world.grpc;
        Self { ca, world, grpc }
    }

    /// A file of API keys with one, which is put into api-key.
    fn keys(ca: &Ca) -> PathBuf {
        let NewKey { key, digest } = NewKey::draw(&SystemEntropy);
        ca.write("api-key", &key);
        ca.write("callers.toml", &format!("[[api_keys]]\nprincipal = 'key:billing'\nsha256 = '{digest}'\n"));
        ca.path("callers.toml")
    }

    fn options(&self) -> Options {
        Options {
            server: format!("https://{}", self.grpc),
            tls_ca_file: Some(self.ca.path("ca.crt")),
            ..Options::default()
        }
    }

    fn by_api_key(&self) -> Options {
        Options { credential: Some(CredentialFile::ApiKey(self.ca.path("api-key"))), ..self.options() }
    }

    fn by_certificate(&self, files: (PathBuf, PathBuf)) -> Options {
        Options { tls_identity_files: Some(files), ..self.options() }
    }
}

fn by_spiffe() -> Settings {
    Settings { trust_domains: vec!["example.org".to_owned()], ..Settings::default() }
}

async fn issue(client: &Client) -> Result<(), Status> {
    let scope = Some(Scope::Sdk(SdkScope {}));
    let request = IssueTokenRequest { scope, role: Role::Reader.into(), ..Default::default() };
    client.tokens().issue_token(request).await.map(|_| ())
}

async fn call(options: Options) -> Result<(), Status> {
    issue(&Client::connect_with(options).await.unwrap()).await
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate_or_its_api_key() {
    let service = TlsService::start().await;
    call(service.by_api_key()).await.unwrap();
    call(service.by_certificate(service.ca.sign_caller(ID))).await.unwrap();
}

#[tokio::test]
async fn everyone_else_is_told_the_same_and_health_stays_open() {
    let service = TlsService::start().await;
    let foreign =
        service.ca.sign("foreign", vec![SanType::URI("spiffe://example.com/a".try_into().unwrap())]);
    let mut messages = Vec::new();
    service.ca.write("wrong", "ik_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for options in [
        service.options(),
        service.by_certificate(foreign),
        Options { credential: Some(CredentialFile::ApiKey(service.ca.path("wrong"))), ..service.options() },
        Options { credential: Some(CredentialFile::Token(service.ca.path("wrong"))), ..service.options() },
        // A credential in the headers takes precedence over a valid certificate.
        Options {
            credential: Some(CredentialFile::ApiKey(service.ca.path("wrong"))),
            ..service.by_certificate(service.ca.sign_caller(ID))
        },
    ] {
        let client = Client::connect_with(options).await.unwrap();
        let refused = issue(&client).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, "CALLER_UNKNOWN", &[]);
        messages.push(refused.message().to_owned());
        let created = client.rooms().create_room(CreateRoomRequest::default()).await;
        assert_refused(&created.unwrap_err(), Code::Unauthenticated, "CALLER_UNKNOWN", &[]);
        let health = tonic_health::pb::health_client::HealthClient::new(client.channel());
        health.clone().check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(service.world.upstream.requests().await.is_empty(), "nothing was sent for them");
}

#[tokio::test]
async fn a_certificate_of_another_ca_does_not_even_connect() {
    let service = TlsService::start().await;
    let other_ca = Ca::new("two");
    let options = service.by_certificate(other_ca.sign_caller(ID));
    // TLS 1.3 lets a client believe in a connection until it reads from it.
    match Client::connect_with(options).await {
        Err(ConnectError::Unreachable(_)) => {}
        Ok(client) => assert!(issue(&client).await.is_err()),
        Err(error) => panic!("{error}"),
    }
    let untrusting = Options { tls_ca_file: Some(other_ca.path("ca.crt")), ..service.by_api_key() };
    assert!(matches!(Client::connect_with(untrusting).await, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn a_credential_s_file_is_read_again_as_it_changes() {
    let service = TlsService::start().await;
    let client = Client::connect_with(service.by_api_key()).await.unwrap();
    issue(&client).await.unwrap();
    let old = fs::read_to_string(service.ca.path("api-key")).unwrap();
    TlsService::keys(&service.ca);
    // The server drops the old key and the client presents the new one; neither is restarted.
    let shows = async |options: Options, expected: Option<Code>| {
        while call(options.clone()).await.err().map(|status| status.code()) != expected {
            tokio::task::yield_now().await;
        }
    };
    shows(service.by_api_key(), None).await;
    service.ca.write("old", &old);
    let with_old =
        Options { credential: Some(CredentialFile::ApiKey(service.ca.path("old"))), ..service.options() };
    shows(with_old, Some(Code::Unauthenticated)).await;
    while issue(&client).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn request_ids_of_different_callers_are_different_requests() {
    let service = TlsService::start().await;
    let request_id = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11".to_owned();
    let request = CreateRoomRequest { request_id, ..Default::default() };
    let mut rooms = Vec::new();
    for options in
        [service.by_api_key(), service.by_certificate(service.ca.sign_caller(ID)), service.by_api_key()]
    {
        let client = Client::connect_with(options).await.unwrap();
        let room = client.rooms().create_room(request.clone()).await.unwrap().into_inner().room.unwrap();
        rooms.push(room.uuid);
    }
    assert_eq!((rooms[0] == rooms[2], rooms[0] == rooms[1]), (true, false));
}

#[tokio::test]
async fn a_credential_leaves_in_the_clear_only_for_loopback_or_with_consent() {
    let ca = Ca::new("one");
    ca.write("api-key", "ik_whatever");
    let options = |server: &str, plaintext| Options {
        server: server.to_owned(),
        credential: Some(CredentialFile::ApiKey(ca.path("api-key"))),
        plaintext,
        ..Options::default()
    };
    // Nobody answers there: what matters is whether it is tried.
    for (server, plaintext, is_tried) in [
        ("http://inkpass.invalid:1", false, false),
        ("http://192.0.2.1:1", false, false),
        ("http://127.0.0.1:1", false, true),
        ("http://[::1]:1", false, true),
        ("http://inkpass.invalid:1", true, true),
    ] {
        let error = Client::connect_with(options(server, plaintext)).await.unwrap_err();
        assert_eq!(matches!(error, ConnectError::Unreachable(_)), is_tried, "{server}: {error}");
    }
}
