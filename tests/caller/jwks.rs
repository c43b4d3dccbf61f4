//! Issuers' keys: fetched seldom, kept for a day, never replaced by what is no set of keys (fault
//! cases 33 and 35).

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use inkpass::caller::{Settings, Unknown};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto, pki_types::PrivateKeyDer},
};

use super::{
    Issuer, IssuerSettings, World, but, claims,
    issuer::{EC, RSA, Signer},
};
use crate::{
    helpers::{ANY_PORT, place::Place, until},
    upstream::peer::Peer,
};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn unknown_key_ids_are_looked_up_once_in_thirty_seconds() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let unknown: Vec<_> = (0..10_000)
        .map(|number| {
            let header = but(EC.header(), json!({ "kid": format!("made-up-{number}") }));
            EC.sign_with(&header, &claims(&issuer).to_string())
        })
        .collect();
    // One fetch was just made, so there is none yet.
    for token in &unknown[..2_500] {
        assert_eq!(world.by_token(token).await, Err(Unknown));
    }
    assert_eq!(issuer.requests(), 1);
    for (window, tokens) in unknown[2_500..].chunks(2_500).enumerate() {
        world.clock.advance(Duration::from_millis(999));
        assert_eq!(world.by_token(&tokens[0]).await, Err(Unknown));
        assert_eq!(issuer.requests(), window + 1);
        world.clock.advance(Duration::from_millis(1));
        let results = join_all(tokens.iter().map(|token| world.by_token(token))).await;
        assert!(results.iter().all(|result| *result == Err(Unknown)));
        assert_eq!(issuer.requests(), window + 2, "one in a second, for 2,500 tokens at once");
        assert!(world.by_token(&EC.sign(&claims(&issuer))).await.is_ok());
    }
}

#[tokio::test]
async fn all_who_ask_for_a_new_key_wait_for_one_fetch() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    issuer.publish(&[&EC, &RSA]);
    let token = RSA.sign(&claims(&issuer));
    assert_eq!(world.by_token(&token).await, Err(Unknown), "the last fetch is too near");

    world.clock.advance(Duration::from_secs(1));
    issuer.open(false);
    let opened = async {
        until(async || issuer.requests() == 2).await;
        // Meanwhile nobody else waits.
        assert!(world.by_token(&EC.sign(&claims(&issuer))).await.is_ok());
        issuer.open(true);
    };
    let asked = join_all((0..50).map(|_| world.by_token(&token)));
    let (results, ()) = tokio::join!(asked, opened);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_anew_are_used_for_a_day() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let long = |signer: &Signer| signer.sign(&but(claims(&issuer), json!({ "exp": 10_000_000_000_u64 })));
    let (known, new) = (long(&EC), long(&RSA));
    issuer.answer(503, "");

    world.clock.advance(HOUR);
    assert!(world.by_token(&known).await.is_ok());
    let before = world.count("key_unknown");
    let result = world.by_token(&new).await;
    world.assert_unknown("a new key", &result, "key_unknown", before);
    assert_eq!(issuer.requests(), 2);

    world.clock.advance(23 * HOUR);
    assert!(world.by_token(&known).await.is_ok());
    // A step of the wall clock makes no key old.
    world.clock.step(24 * 3_600_000);
    assert!(world.by_token(&known).await.is_ok());
    world.clock.advance(Duration::from_millis(1));
    let before = world.count("keys_unavailable");
    let result = world.by_token(&known).await;
    world.assert_unknown("a day later", &result, "keys_unavailable", before);

    issuer.publish(&[&RSA]);
    world.clock.advance(Duration::from_secs(1));
    assert!(world.by_token(&new).await.is_ok());
    assert_eq!(world.by_token(&known).await, Err(Unknown), "its key is published no more");
}

#[tokio::test]
async fn what_is_no_set_of_keys_replaces_nothing() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let elsewhere = Issuer::start(&[&RSA]).await;
    let (known, new) = (EC.sign(&claims(&issuer)), RSA.sign(&claims(&issuer)));
    let published = json!({ "keys": [RSA.jwk()] }).to_string();
    let bare = |jwk: serde_json::Value| json!({ "keys": [jwk] }).to_string();
    let answers = [
        (500, published.clone()),
        (204, String::new()),
        (206, published.clone()),
        (200, String::new()),
        (200, "<html>hello</html>".to_owned()),
        (200, published[..published.len() / 2].to_owned()),
        (200, json!({ "keys": [] }).to_string()),
        (200, json!({}).to_string()),
        (200, json!([RSA.jwk()]).to_string()),
        (200, published.clone() + &" ".repeat(256 * 1024)),
        (200, bare(but(RSA.jwk(), json!({ "kid": null })))),
        (200, bare(but(RSA.jwk(), json!({ "kid": "" })))),
        (200, bare(but(RSA.jwk(), json!({ "use": "enc" })))),
        (200, bare(but(RSA.jwk(), json!({ "alg": "RS512" })))),
        (200, bare(but(RSA.jwk(), json!({ "key_ops": ["encrypt"] })))),
        (200, bare(but(EC.jwk(), json!({ "kid": "rsa-1", "crv": "P-384" })))),
        (200, bare(json!({ "kty": "oct", "kid": "rsa-1", "alg": "HS256", "k": "AAAA" }))),
    ];
    let mut expected = 1;
    let mut refused = async |what: &str| {
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.by_token(&new).await, Err(Unknown), "{what}");
        expected += 1;
        assert_eq!(issuer.requests(), expected, "{what}");
        assert!(world.by_token(&known).await.is_ok(), "{what}");
    };
    for (status, body) in answers {
        issuer.answer(status, body.clone());
        refused(&body).await;
    }
    issuer.redirect(&elsewhere);
    refused("a redirect").await;
    assert_eq!(elsewhere.requests(), 0);

    // Keys that are none of ours may stand beside those that are; `alg` and `use` may be missing.
    let plain = but(RSA.jwk(), json!({ "alg": null, "use": null }));
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "ed-1" });
    issuer.answer(200, json!({ "keys": [ed, { "kty": "new" }, { "kid": 1 }, plain] }).to_string());
    world.clock.advance(Duration::from_secs(1));
    assert!(world.by_token(&new).await.is_ok());
}

#[tokio::test]
async fn a_start_without_keys_fails_closed_until_they_come() {
    let issuer = Issuer::start(&[&EC]).await;
    issuer.answer(503, "");
    let world = World::start(&Settings { issuers: vec![issuer.settings()], ..Settings::default() });
    world.fetched("failed", 1).await;
    let (last, token) =
        ("inkpass_jwks_fetched_timestamp_seconds{issuer=\"cluster\"}", EC.sign(&claims(&issuer)));
    assert_eq!(world.metric(last), 0);
    let before = world.count("keys_unavailable");
    let result = world.by_token(&token).await;
    world.assert_unknown("before", &result, "keys_unavailable", before);
    // It is tried again by itself.
    issuer.publish(&[&EC]);
    world.fetched("ok", 1).await;
    assert!(world.by_token(&token).await.is_ok());
    assert_eq!(world.metric(last), crate::helpers::NOW / 1000);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_vouches_for_nobody() {
    let issuer = Issuer::start(&[&EC]).await;
    // Nobody listens there.
    let jwks_url = "http://127.0.0.1:1/keys".parse().unwrap();
    let settings = IssuerSettings { jwks_url, ..issuer.settings() };
    let world = World::start(&Settings { issuers: vec![settings], ..Settings::default() });
    world.fetched("failed", 1).await;
    let result = world.by_token(&EC.sign(&claims(&issuer))).await;
    world.assert_unknown("away", &result, "keys_unavailable", 0);
}

#[tokio::test]
async fn a_token_file_is_read_for_each_fetch() {
    let directory = Place::new();
    let path = directory.path().join("token");
    fs::write(&path, "first\n").unwrap();
    let issuer = Issuer::start(&[&EC]).await;
    let settings = IssuerSettings { jwks_token_file: Some(path.clone()), ..issuer.settings() };
    let world = World::start(&Settings { issuers: vec![settings], ..Settings::default() });
    world.fetched("ok", 1).await;
    assert_eq!(issuer.authorization.lock().unwrap().as_deref(), Some("Bearer first"));
    fs::write(&path, "second").unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.by_token(&RSA.sign(&claims(&issuer))).await, Err(Unknown));
    assert_eq!(issuer.authorization.lock().unwrap().as_deref(), Some("Bearer second"));
}

/// A server of keys over TLS, with a CA of its own; gives the CA in PEM form.
async fn tls_server(keys: String) -> (u16, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", keys.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(keys.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, certificate.pem())
}

#[tokio::test]
async fn a_server_is_trusted_by_the_ca_file_alone_and_by_what_it_is_now() {
    let (port, ca) = tls_server(json!({ "keys": [EC.jwk()] }).to_string()).await;
    let (_, other_ca) = tls_server(String::new()).await;
    let directory = Place::new();
    let path = directory.path().join("ca.crt");
    fs::write(&path, other_ca).unwrap();
    let issuer = Issuer::start(&[]).await;
    let settings = IssuerSettings {
        jwks_url: format!("https://localhost:{port}/keys").parse().unwrap(),
        ca_file: Some(path.clone()),
        ..issuer.settings()
    };
    let world = World::start(&Settings { issuers: vec![settings], ..Settings::default() });
    world.fetched("failed", 1).await;
    fs::write(&path, ca).unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert!(world.by_token(&EC.sign(&claims(&issuer))).await.is_ok());
}

/// A turn of the HTTP client takes as much of it as there is, so its thread is none of those that calls need.
#[tokio::test]
async fn an_issuer_that_answers_1xx_without_an_end_is_given_up_in_time() {
    let (issuer, peer) = (Issuer::start(&[&EC]).await, Peer::flood_of_1xx().await);
    let jwks_url = format!("http://{}/keys", peer.address).parse().unwrap();
    let issuers = vec![IssuerSettings { jwks_url, ..issuer.settings() }];
    let began = Instant::now();
    let world = World::start(&Settings { issuers, ..Settings::default() });
    world.fetched("failed", 1).await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}
