//! The store behind TLS, with a user that may do what is needed and no more.

use std::fs;

use inkpass::store::Settings;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::Code;

use super::{ID, create, replicas, request};
use crate::helpers::{
    World, assert_refused,
    place::Place,
    redis::{Redis, free_port, settings},
};

/// What docs/replicas.md says that a user needs.
const RULES: &str = "on >a-password ~inkpass:* +eval +get +set +del +pttl +time +info +wait";

struct Ca {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn ca() -> Ca {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap();
    Ca { certificate, issuer: Issuer::new(parameters, key) }
}

#[tokio::test]
async fn a_store_behind_tls_takes_a_user_who_may_do_what_is_needed_and_nobody_else() {
    let (place, ca, other) = (Place::new(), ca(), ca());
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca.issuer).unwrap();
    let file = |name: &str, content: String| {
        fs::write(place.join(name), content).unwrap();
        place.join(name).to_str().unwrap().to_owned()
    };
    let certificate = file("tls.crt", certificate.pem());
    let (key, roots) = (file("tls.key", key.serialize_pem()), file("ca.crt", ca.certificate.pem()));
    let port = free_port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let more = ["--tls-ca-cert-file", &roots, "--tls-auth-clients", "no", "--save", ""];
    let user: Vec<_> = ["--user", "inkpass"].into_iter().chain(RULES.split(' ')).collect();
    let Some(redis) = Redis::start(&[&tls[..], &more, &user].concat()).await else { return };

    let url = |password: &str, host: &str| format!("rediss://inkpass:{password}@{host}:{port}");
    let trusting = |url: &str, ca: &Ca| {
        let settings = settings(url);
        let address = settings.address.clone().with_roots(ca.certificate.pem().as_bytes());
        Settings { address, ..settings }
    };
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
