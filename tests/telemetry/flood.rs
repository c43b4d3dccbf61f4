//! Collectors that answer without an end. A call that waited for one of them would wait for minutes.

use std::time::{Duration, Instant};

use inkpass::proto::IssueTokenRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Serving, every_span_to};
use crate::helpers::{ANY_PORT, World, until};

/// Far below what one turn of the HTTP client takes, and far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(10);

/// The address of a collector that says the first, and then the second without an end.
async fn collector(first: &'static [u8], again: &'static [u8]) -> String {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let again = again.repeat(100_000 / again.len());
                let mut says = stream.write_all(first).await;
                while says.is_ok() {
                    says = stream.write_all(&again).await;
                }
            });
        }
    });
    endpoint
}

/// `SETTINGS`, as a server of HTTP/2 begins, and `HEADERS` with the status 100.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const CONTINUE: &[u8] = &[0, 0, 5, 1, 4, 0, 0, 0, 1, 8, 3, b'1', b'0', b'0'];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_answers_without_an_end_delays_neither_calls_nor_the_end_of_an_export_or_of_the_process()
 {
    let world = World::on_the_system_s_clock().await;
    let (ok, chunked) = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    // What is too long, and is known to be, is no failure of an export that was answered by 200.
    for (protocol, first, again, cause) in [
        ("http/protobuf", &b""[..], &b"HTTP/1.1 100 Continue\r\n\r\n"[..], Some("no answer in 500ms")),
        ("http/protobuf", ok, b"x: y\r\n", Some("")),
        ("http/protobuf", chunked, b"2\r\n..\r\n", None),
        // Where the answer comes before its call, it ends the connection.
        ("grpc", SETTINGS, CONTINUE, Some("")),
    ] {
        let settings = every_span_to(&collector(first, again).await, protocol);
        let environment = [
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
        ];
        let serving = Serving::start(&world, &environment, &settings).await;
        let client = serving.client().await;
        let call = async || {
            let began = Instant::now();
            client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
            assert!(began.elapsed() < SOON, "{protocol}: a call took {:?}", began.elapsed());
        };
        let began = Instant::now();
        let counted: &[&str] = match cause {
            Some(_) => &["traces", "metrics"],
            None => &[],
        };
        for signal in counted {
            let twice = async || {
                call().await;
                let failed = format!("inkpass_otlp_exports_failed_total{{signal=\"{signal}\"}}");
                super::failing::figure(&serving.scrape().await, &failed) >= 2.0
            };
            until(twice).await;
        }
        while began.elapsed() < Duration::from_secs(2) {
            call().await;
        }
        drop(client);
        let began = Instant::now();
        let stderr = serving.stop().await;
        assert!(began.elapsed() < SOON, "{protocol}: the end took {:?}", began.elapsed());
        assert!(cause.is_none_or(|cause| stderr.contains(cause)), "{protocol}: {stderr}");
    }
}
