//! Exports to a collector that speaks TLS, by both protocols.

use std::{path::Path, sync::Arc};

use inkpass::proto::IssueTokenRequest;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{
    Receiver, Serving,
    failing::{SOON, figure},
};
use crate::helpers::{World, ca::Ca, until};

/// A server of this CA; `asks`: callers need a certificate of it.
fn config(ca: &Ca, asks: bool) -> ServerConfig {
    let (certificate, key) = ca.sign_server();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca.path("ca.crt")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Serves until both signals have arrived or failed: a handshake on a busy machine may take longer than the last export at a stop.
/// Gives the log.
async fn export(world: &World, environment: &[(&str, &str)], receiver: &Receiver) -> String {
    let serving = Serving::start(world, &[environment, &SOON].concat(), "sampling_ratio = 1.0").await;
    let client = serving.client().await;
    client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
    drop(client);
    until(async || {
        let scrape = serving.scrape().await;
        let failed = |signal: &str| {
            figure(&scrape, &format!("inkpass_otlp_exports_failed_total{{signal=\"{signal}\"}}")) > 0.0
        };
        (failed("traces") || !receiver.spans().is_empty())
            && (failed("metrics") || !receiver.metrics().is_empty())
    })
    .await;
    serving.stop().await
}

#[tokio::test]
async fn both_protocols_reach_a_collector_whose_ca_is_named() {
    let world = World::on_the_system_s_clock().await;
    let ca = Ca::new("collector's");
    let root = ca.path("ca.crt");
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let endpoint = receiver.start_with(config(&ca, false)).await;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&root)),
        ];
        let log = export(&world, &environment, &receiver).await;
        assert!(!receiver.spans().is_empty() && !receiver.metrics().is_empty(), "{protocol}: {log}");
    }
}

#[tokio::test]
async fn a_collector_that_asks_for_a_certificate_gets_one() {
    let world = World::on_the_system_s_clock().await;
    let ca = Ca::new("collector's");
    let (root, (certificate, key)) = (ca.path("ca.crt"), ca.sign_caller("spiffe://example.org/inkpass"));
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let endpoint = receiver.start_with(config(&ca, true)).await;
        let mut environment = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&root)),
        ];
        let log = export(&world, &environment, &receiver).await;
        assert!(receiver.spans().is_empty() && log.contains("collector does not take"), "{log}");
        environment.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", text(&certificate)));
        environment.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", text(&key)));
        let log = export(&world, &environment, &receiver).await;
        assert!(!receiver.spans().is_empty() && !receiver.metrics().is_empty(), "{protocol}: {log}");
    }
}

#[tokio::test]
async fn a_collector_of_another_ca_or_without_tls_is_told_of() {
    let world = World::on_the_system_s_clock().await;
    let (ca, other) = (Ca::new("collector's"), Ca::new("another"));
    let root = other.path("ca.crt");
    let (foreign, plain) = (Receiver::default(), Receiver::default());
    let foreign_endpoint = foreign.start_with(config(&ca, false)).await;
    let plain_endpoint = plain.start().await.replace("http://", "https://");
    for protocol in ["grpc", "http/protobuf"] {
        for (receiver, endpoint, cause) in
            [(&foreign, &foreign_endpoint, "UnknownIssuer"), (&plain, &plain_endpoint, "InvalidContentType")]
        {
            let environment = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &**endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&root)),
            ];
            let log = export(&world, &environment, receiver).await;
            assert!(log.contains(cause), "{protocol}: {log}");
        }
    }
    assert!(foreign.spans().is_empty() && plain.spans().is_empty());
}
