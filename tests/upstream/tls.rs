//! Whom the client trusts.

use std::{fs, net::SocketAddr, sync::Arc};

use inkpass::{
    clock::UnixMillis,
    outgoing::{Roots, Route},
    whiteboard::Settings,
};
use rcgen::SanType;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::Code;

use super::{ROOM, create, https, peer::read_request, tls_world, world};
use crate::helpers::{ANY_PORT, NOW, assert_refused, ca::Ca};

/// Accepts connections with this certificate of a CA, by a protocol, and hands each to `serve`.
pub(crate) async fn listen<S>(
    ca: &Ca,
    names: Vec<SanType>,
    protocol: &'static [u8],
    serve: impl Fn(TlsStream<TcpStream>) -> S + Send + 'static,
) -> SocketAddr
where
    S: Future<Output = ()> + Send + 'static,
{
    let (certificate, key) = ca.sign("upstream", names);
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind(ANY_PORT).await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream));
            }
        }
    });
    address
}

pub(crate) fn loopback() -> Vec<SanType> {
    vec![SanType::IpAddress([127, 0, 0, 1].into())]
}

/// Answers every request with a room.
pub(crate) async fn answer_a_room(mut stream: TlsStream<TcpStream>) {
    while read_request(&mut stream).await.is_some() {
        let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{ROOM}", ROOM.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn an_upstream_is_trusted_by_the_ca_file_and_only_by_the_name_that_it_has() {
    let (ca, other) = (Ca::new("one"), Ca::new("other"));
    let upstream = listen(&ca, loopback(), b"http/1.1", answer_a_room).await;
    let created = create(&tls_world(upstream, &ca).await).await.unwrap();
    assert_eq!(created.room.unwrap().uuid, "r1");

    let misnamed = vec![SanType::DnsName("api.netless.link".try_into().unwrap())];
    let misnamed = listen(&ca, misnamed, b"http/1.1", answer_a_room).await;
    let without = world(upstream, move |settings| Settings {
        base_url: https(upstream),
        route: Route::Direct,
        ..settings
    });
    for distrusting in [tls_world(upstream, &other).await, tls_world(misnamed, &ca).await, without.await] {
        let refused = create(&distrusting).await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    }
}

#[test]
fn a_file_without_a_ca_that_is_valid_now_is_refused_by_its_name() {
    let ca = Ca::new("one");
    let now = UnixMillis::new(NOW).unwrap();
    let wrong = |name: &str, text: &str, time: UnixMillis| {
        fs::write(ca.path(name), text).unwrap();
        Roots::load(&ca.path(name), time).unwrap_err().to_string().replace(ca.path("").to_str().unwrap(), "")
    };
    let good = fs::read_to_string(ca.path("ca.crt")).unwrap();
    assert_eq!(wrong("empty", "", now), "empty: holds no certificate in PEM form");
    assert!(wrong("cut", &good[..good.len() / 2], now).starts_with("cut: is not PEM"));
    let joined = format!("{}{good}", good.trim_end());
    assert!(
        wrong("joined", &joined, now).starts_with("joined: holds a certificate that would be passed over")
    );
    assert!(wrong("over", &good, UnixMillis::MAX).starts_with("over: holds a certificate that expired at"));
    assert!(
        Roots::load(&ca.path("nowhere"), now).unwrap_err().to_string().contains("nowhere: cannot be read"),
    );
}
