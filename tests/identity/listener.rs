//! The TLS listener: what it lets through, and what changes under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use inkpass::{
    client::Client,
    clock::{Clock, ManualClock, SystemClock, UnixMillis},
    reload::Reload,
    tls::Tls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{ID, TlsService, call, issue};
use crate::{
    decisions::{POLICY, program::Program},
    helpers::{PATIENCE, ca::Ca},
};

#[tokio::test]
async fn certificates_are_swapped_under_load_without_a_failed_call() {
    let service = Arc::new(TlsService::start().await);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let kept = Client::connect_with(service.by_certificate(service.ca.sign_caller(ID))).await.unwrap();
    let load = tokio::spawn({
        let (service, stop, calls, kept) = (service.clone(), stop.clone(), calls.clone(), kept.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                issue(&kept).await.unwrap();
                call(service.by_api_key()).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let before = presented(&service).await;
    for _ in 0..3 {
        service.ca.sign_server();
        let deadline = Instant::now() + PATIENCE;
        let mut now = presented(&service).await;
        while now == before {
            assert!(Instant::now() < deadline, "the new certificate is not presented");
            now = presented(&service).await;
        }
        let seen = calls.load(Ordering::Relaxed);
        while calls.load(Ordering::Relaxed) < seen + 5 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    issue(&kept).await.unwrap();
}

/// The certificate that a new connection is shown.
async fn presented(service: &TlsService) -> Vec<u8> {
    use tokio_rustls::{TlsConnector, rustls};
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(service.ca.path("ca.crt")).unwrap();
    let ca = <rustls_pki_types::CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem);
    roots.add(ca.unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(service.grpc).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn callers_of_a_ca_that_was_added_are_let_in_without_a_restart() {
    let service = TlsService::start().await;
    let two = Ca::new("two");
    let both = ["ca.crt"].map(|name| std::fs::read_to_string(service.ca.path(name)).unwrap()).concat()
        + &std::fs::read_to_string(two.path("ca.crt")).unwrap();
    let caller = two.sign_caller(ID);
    // The client's trust in the server stays with the first CA alone.
    service.ca.write("trusted.crt", &std::fs::read_to_string(service.ca.path("ca.crt")).unwrap());
    service.ca.write("ca.crt", &both);
    let options = inkpass::client::Options {
        tls_ca_file: Some(service.ca.path("trusted.crt")),
        ..service.by_certificate(caller)
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(client) = Client::connect_with(options.clone()).await
            && issue(&client).await.is_ok()
        {
            return;
        }
        assert!(Instant::now() < deadline, "the new CA is not trusted");
    }
}

#[tokio::test]
async fn five_hundred_handshakes_that_stop_are_closed_and_hold_up_nobody() {
    let service = TlsService::start().await;
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(service.grpc).await.unwrap();
        // The beginning of a ClientHello, and nothing more.
        stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.unwrap();
        silent.push(stream);
    }
    for _ in 0..20 {
        let quick = Instant::now();
        call(service.by_api_key()).await.unwrap();
        assert!(quick.elapsed() < Duration::from_secs(2), "{:?}", quick.elapsed());
    }
    for stream in &mut silent {
        let mut buffer = Vec::new();
        // However it ends, it ends.
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut buffer)).await.unwrap();
    }
    assert!((4..9).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_handshake_that_fails_is_counted() {
    let service = TlsService::start().await;
    call(service.by_api_key()).await.unwrap();
    let failed = "\ninkpass_connections_failed_total{cause=\"tls\",listener=\"grpc\"} ";
    assert!(service.world.metrics().await.contains(&format!("{failed}0\n")));
    let mut plain = TcpStream::connect(service.grpc).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    crate::helpers::until(async || service.world.metrics().await.contains(&format!("{failed}1\n"))).await;
}

#[test]
fn files_that_cannot_serve_are_all_named() {
    let (ca, other) = (Ca::new("one"), Ca::new("two"));
    let good = ca.settings();
    let tls = Tls::load(good.clone(), Arc::new(SystemClock)).unwrap();
    assert!(
        tls.describe().starts_with("a certificate that expires at 4096-01-01T"),
        "for the log: {}",
        tls.describe()
    );
    let key_of_another = inkpass::tls::TlsSettings { key_file: other.sign_server().1, ..good.clone() };
    let mistakes = Tls::load(key_of_another, Arc::new(SystemClock)).err().unwrap();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");

    ca.write("tls.crt", "");
    ca.write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o444);
    std::fs::set_permissions(ca.path("tls.key"), mode).unwrap();
    let mistakes: Vec<_> =
        Tls::load(good, Arc::new(SystemClock)).err().unwrap().iter().map(ToString::to_string).collect();
    for (name, what) in
        [("tls.crt", "holds no certificate"), ("tls.key", "open to other users"), ("ca.crt", "holds no CA")]
    {
        assert!(mistakes.iter().any(|m| m.contains(name) && m.contains(what)), "{name}: {mistakes:?}");
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_told_with_its_date() {
    let ca = Ca::new("one");
    let good = ca.settings();
    let then = |millis: u64| Arc::new(ManualClock::new(UnixMillis::new(millis).unwrap()));
    for (millis, what) in [(0, "is not valid before"), (253_000_000_000_000, "expired at")] {
        let mistakes = Tls::load(good.clone(), then(millis)).err().unwrap();
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert!(
            mistakes.len() == 1 && mistakes[0].contains("tls.crt") && mistakes[0].contains(what),
            "{mistakes:?}"
        );
    }
}

#[test]
fn a_certificate_that_is_for_another_name_is_refused() {
    let ca = Ca::new("one");
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let mistakes = |named: &[&str]| -> Vec<_> {
        let settings = inkpass::tls::TlsSettings { names: names(named), ..ca.settings() };
        let mistakes = Tls::load(settings, Arc::new(SystemClock)).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(mistakes(&["localhost", "127.0.0.1"]), Vec::<String>::new());
    let mistakes = mistakes(&["localhost", "inkpass.default.svc", "127.0.0.2"]);
    assert!(mistakes.iter().all(|mistake| mistake.contains("tls.crt")), "{mistakes:?}");
    let foreign = ["not for inkpass.default.svc", "not for 127.0.0.2"];
    assert!(mistakes.iter().zip(foreign).all(|(mistake, name)| mistake.contains(name)), "{mistakes:?}");
    assert_eq!(mistakes.len(), 2);
}

#[test]
fn a_certificate_of_x_509_version_1_is_told_of_its_own_file() {
    let ca = Ca::new("one");
    let settings = ca.settings();
    let pem = std::fs::read(&settings.cert_file).unwrap();
    let good = <rustls_pki_types::CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem);
    let mut der = good.unwrap().to_vec();
    // Its version, which counts from 0.
    let version = der.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap();
    der[version + 4] = 0;
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
    ca.write("tls.crt", &format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    let mistakes = Tls::load(settings, Arc::new(SystemClock)).err().unwrap();
    let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert!(mistakes.len() == 1 && mistakes[0].contains("tls.crt"), "{mistakes:?}");
    assert!(mistakes[0].contains("takes X.509 version 3"), "{mistakes:?}");
}

#[tokio::test]
async fn a_certificate_that_expires_while_it_serves_is_told_at_readyz_and_as_a_metric() {
    let service = TlsService::start().await;
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let readyz = async || {
        let answer = http.get(format!("http://{}/readyz", service.world.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(readyz().await, (200, "ok\n".to_owned()));
    // To the year 4960 or so: beyond what the certificate says.
    service.world.clock.step(93_000_000_000_000);
    crate::helpers::until(async || {
        readyz().await.1.contains("certificate: the TLS certificate is not valid now")
    })
    .await;
    assert_eq!(readyz().await.0, 200, "reads still work");
    let metrics = service.world.metrics().await;
    assert!(metrics.contains("inkpass_refusing{cause=\"certificate\"} 1"), "{metrics}");
    assert!(metrics.contains("inkpass_certificate_expiry_timestamp_seconds"), "{metrics}");
}

#[tokio::test]
async fn a_certificate_that_runs_out_is_logged_and_its_successor_is_too() {
    let ca = Ca::new("one");
    // Time for a busy machine to start the program.
    let (cert, key) = ca.sign_server_until(SystemClock.now().system_time() + Duration::from_secs(10));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let tls = format!("[server]\ntls_cert_file = '{cert}'\ntls_key_file = '{key}'");
    let program = Program::start(POLICY, &tls).await;
    let (begins, ends) = ("can only refuse: the TLS certificate", "does not refuse for this cause");
    assert_eq!((program.logged(begins), program.admin("/readyz").await), (0, "ok\n".to_owned()));
    crate::helpers::until(async || program.logged(begins) == 1).await;
    assert!(program.admin("/readyz").await.contains("certificate: the TLS certificate is not valid now"));
    let metrics = program.admin("/metrics").await;
    assert!(metrics.contains("inkpass_refusing{cause=\"certificate\"} 1"), "{metrics}");

    ca.sign_server();
    crate::helpers::until(async || program.logged(ends) == 1).await;
    assert_eq!((program.logged(begins), program.admin("/readyz").await), (1, "ok\n".to_owned()));
}

/// What people do to PEM on its way into a Secret.
#[test]
fn a_file_that_is_no_pem_is_told_without_what_is_in_it() {
    let ca = Ca::new("one");
    let good = ca.settings();
    let key = std::fs::read_to_string(&good.key_file).unwrap();
    let base64: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let half = &key[..key.len() / 2];
    for broken in [&key.replace('\n', " "), &key.replace('\n', "\\n"), half, &key.replace("END", "")] {
        for file in ["tls.key", "tls.crt", "ca.crt"] {
            ca.settings();
            ca.write(file, broken);
            let mistakes = Tls::load(good.clone(), Arc::new(SystemClock)).err().unwrap();
            let mistakes: String = mistakes.iter().map(ToString::to_string).collect();
            assert!(mistakes.contains(file) && mistakes.contains("PEM"), "{mistakes}");
            let shown =
                base64.as_bytes().windows(8).any(|piece| mistakes.contains(str::from_utf8(piece).unwrap()));
            assert!(!shown && !mistakes.contains('['), "{mistakes}");
            ca.write("ca.crt", &std::fs::read_to_string(&good.cert_file).unwrap());
        }
    }
}
