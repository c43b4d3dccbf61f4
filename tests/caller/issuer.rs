//! An issuer of tokens: real keys, and a real server on loopback that publishes them and counts
//! how often it is asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use inkpass::caller::IssuerSettings;
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use super::AUDIENCE;
use crate::helpers::ANY_PORT;

/// A private key with its id.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) kid: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
}

/// The keys of all tests: RSA keys are slow to make.
pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));
pub(super) static OTHER_RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-2"));
pub(super) static EC: LazyLock<Signer> = LazyLock::new(|| Signer::ec("ec-1"));

/// What stands before the key proper in PKCS #8, for RSA keys of 2048 bits.
const PKCS8_HEADER: usize = 26;

impl Signer {
    fn rsa(kid: &'static str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let key = EncodingKey::from_rsa_der(&pair.serialized_der()[PKCS8_HEADER..]);
        Self { kid, algorithm: Algorithm::RS256, key }
    }

    pub(super) fn ec(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self { kid, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(pair.serialized_der()) }
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.kid })
    }

    /// A token of these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), &claims.to_string())
    }

    /// A token of any header and any text.
    pub(super) fn sign_with(&self, header: &Value, claims: &str) -> String {
        let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", encode(&header.to_string()), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The public key as an issuer publishes it.
    pub(super) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        super::but(serde_json::to_value(jwk).unwrap(), json!({ "kid": self.kid, "use": "sig" }))
    }
}

/// A server of keys.
#[derive(Clone)]
pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<(StatusCode, HeaderMap, Bytes)>>,
    requests: Arc<AtomicUsize>,
    pub(super) authorization: Arc<Mutex<Option<String>>>,
    /// Answers wait while it is closed.
    gate: Arc<watch::Sender<bool>>,
}

impl Issuer {
    /// Publishes these keys.
    pub(super) async fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            requests: Arc::default(),
            authorization: Arc::default(),
            gate: Arc::new(watch::Sender::new(true)),
        };
        issuer.publish(signers);
        let answer = async |State(issuer): State<Self>, headers: HeaderMap| {
            issuer.requests.fetch_add(1, Ordering::SeqCst);
            let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            *issuer.authorization.lock().unwrap() = authorization;
            issuer.gate.subscribe().wait_for(|is_open| *is_open).await.unwrap();
            issuer.answer.lock().unwrap().clone().into_response()
        };
        let router = Router::new().fallback(answer).with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    /// Its `iss`.
    pub(super) fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As a cluster.
    pub(super) fn settings(&self) -> IssuerSettings {
        IssuerSettings {
            name: "cluster".to_owned(),
            kubernetes: true,
            issuer: self.name(),
            audience: AUDIENCE.to_owned(),
            jwks_url: format!("http://{}/openid/v1/jwks", self.address).parse().unwrap(),
            ca_file: None,
            jwks_token_file: None,
        }
    }

    pub(super) fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
        self.answer(200, json!({ "keys": keys }).to_string());
    }

    pub(super) fn answer(&self, status: u16, body: impl Into<Bytes>) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.answer.lock().unwrap() = (status, HeaderMap::new(), body.into());
    }

    pub(super) fn redirect(&self, to: &Self) {
        let headers = super::header_map(&[("location", &format!("{}/keys", to.name()))]);
        *self.answer.lock().unwrap() = (StatusCode::TEMPORARY_REDIRECT, headers, Bytes::new());
    }

    pub(super) fn open(&self, is_open: bool) {
        self.gate.send_replace(is_open);
    }

    /// How often it was asked for its keys.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
