//! Collectors that do not take what is exported.

use std::time::{Duration, Instant};

use inkpass::proto::{CreateRoomRequest, IssueTokenRequest};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Receiver, Serving, create_a_room, every_span_to, lines};
use crate::helpers::{ANY_PORT, World, until};

/// The lines about exports, each its message and its signal.
fn exports(stderr: &str) -> Vec<(String, String)> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let lines = lines(stderr).into_iter().map(|line| (text(&line, "message"), text(&line, "signal")));
    lines.filter(|(_, signal)| !signal.is_empty()).collect()
}

/// A figure of a scrape.
pub(super) fn figure(scrape: &str, name: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {scrape}")).parse().unwrap()
}

pub(super) const SOON: [(&str, &str); 2] =
    [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_METRIC_EXPORT_INTERVAL", "50")];

#[tokio::test]
async fn failed_exports_are_one_line_and_counted_and_it_is_said_when_they_work_again() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    receiver.refuse(true);
    for protocol in ["grpc", "http/protobuf"] {
        let settings = every_span_to(&receiver.start().await, protocol);
        receiver.refuse(true);
        let serving = Serving::start(&world, &SOON, &settings).await;
        let client = serving.client().await;
        let call = async || client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
        let lost = "inkpass_spans_dropped_total{cause=\"export\"}";
        let failed = |signal: &str| format!("inkpass_otlp_exports_failed_total{{signal=\"{signal}\"}}");
        call().await;
        until(async || figure(&serving.scrape().await, lost) > 0.0).await;
        let before = figure(&serving.scrape().await, lost);
        call().await;
        until(async || figure(&serving.scrape().await, lost) > before).await;
        until(async || figure(&serving.scrape().await, &failed("metrics")) > 1.0).await;
        assert!(figure(&serving.scrape().await, &failed("traces")) >= 2.0);

        receiver.refuse(false);
        until(async || {
            call().await;
            figure(&serving.scrape().await, "inkpass_spans_exported_total") > 0.0
        })
        .await;
        let works = async || {
            let (metrics, spans) = (receiver.metrics().len(), receiver.spans().len());
            metrics > 0 && spans > 0
        };
        until(works).await;
        drop(client);
        let stderr = serving.stop().await;
        for signal in ["traces", "metrics"] {
            let told: Vec<_> = exports(&stderr).into_iter().filter(|(_, of)| of == signal).collect();
            let messages: Vec<_> = told.iter().map(|(message, _)| &**message).collect();
            let wanted = [
                "the OTLP collector does not take what is exported; calls are not affected",
                "the OTLP collector takes what is exported again",
            ];
            assert_eq!(messages, wanted, "{signal}: {stderr}");
        }
        let cause = if protocol == "grpc" { "PermissionDenied" } else { "403 Forbidden" };
        assert!(stderr.contains(&format!("\"cause\":\"the collector answers {cause}\"")), "{stderr}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_of_with_its_cause() {
    let world = World::on_the_system_s_clock().await;
    let run = create_a_room(&world, &SOON, "otlp_endpoint = 'http://127.0.0.1:1'").await;
    assert!(run.stderr.contains("Connection refused"), "{}", run.stderr);
}

#[tokio::test]
async fn a_collector_that_is_away_delays_neither_calls_nor_the_end() {
    let world = World::on_the_system_s_clock().await;
    // One takes connections, and says nothing.
    let silent = TcpListener::bind(ANY_PORT).await.unwrap();
    for address in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let settings = format!("sampling_ratio = 1.0\notlp_endpoint = 'http://{address}'");
        let mut shortest = Duration::MAX;
        // The machine has others to serve, so the best of some counts.
        for _ in 0..3 {
            let serving = Serving::start(&world, &[], &settings).await;
            let client = serving.client().await;
            client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
            drop(client);
            let began = Instant::now();
            let stderr = serving.stop().await;
            shortest = shortest.min(began.elapsed());
            for what in ["spans", "metrics"] {
                assert!(stderr.contains(&format!("the last {what} were not exported")), "{stderr}");
                assert!(!stderr.contains(&format!("the last {what} are exported")), "{stderr}");
            }
        }
        assert!(shortest < Duration::from_millis(1800), "{address}: {shortest:?}");
    }
}

#[tokio::test]
async fn what_a_collector_refuses_for_a_moment_is_sent_again() {
    let world = World::on_the_system_s_clock().await;
    for (protocol, pause) in [("grpc", 0), ("grpc", 2), ("http/protobuf", 0), ("http/protobuf", 2)] {
        let receiver = Receiver::default();
        let settings = every_span_to(&receiver.start().await, protocol);
        receiver.be_busy(1, pause);
        let environment = [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_METRICS_EXPORTER", "none")];
        let serving = Serving::start(&world, &environment, &settings).await;
        let client = serving.client().await;
        let began = Instant::now();
        client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
        until(async || figure(&serving.scrape().await, "inkpass_spans_exported_total") > 0.0).await;
        assert!(began.elapsed() >= Duration::from_secs(pause), "{protocol}: sooner than it was asked to");
        let scrape = serving.scrape().await;
        assert!(figure(&scrape, "inkpass_spans_dropped_total{cause=\"export\"}") < 1.0, "{scrape}");
        assert!(figure(&scrape, "inkpass_otlp_exports_failed_total{signal=\"traces\"}") < 1.0, "{scrape}");
        drop(client);
        serving.stop().await;
        assert!(!receiver.spans().is_empty());
    }
}

#[tokio::test]
async fn a_collector_that_asks_for_the_longest_pause_there_is_breaks_nothing() {
    let world = World::on_the_system_s_clock().await;
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let settings = every_span_to(&receiver.start().await, protocol);
        receiver.be_busy(usize::MAX, u64::MAX);
        let serving = Serving::start(&world, &SOON, &settings).await;
        let client = serving.client().await;
        client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
        for signal in ["traces", "metrics"] {
            let failed = format!("inkpass_otlp_exports_failed_total{{signal=\"{signal}\"}}");
            until(async || figure(&serving.scrape().await, &failed) > 0.0).await;
        }
        receiver.be_busy(0, 0);
        until(async || {
            client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
            !receiver.metrics().is_empty() && !receiver.spans().is_empty()
        })
        .await;
        drop(client);
        let stderr = serving.stop().await;
        let cause = if protocol == "grpc" { "ResourceExhausted" } else { "429 Too Many Requests" };
        assert!(stderr.contains(&format!("the collector answers {cause}")), "{stderr}");
    }
}

#[tokio::test]
async fn what_a_collector_refuses_of_an_export_is_counted_and_told() {
    let world = World::on_the_system_s_clock().await;
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let settings = every_span_to(&receiver.start().await, protocol);
        receiver.reject(1);
        let serving = Serving::start(&world, &SOON, &settings).await;
        let client = serving.client().await;
        client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
        let lost = "inkpass_spans_dropped_total{cause=\"export\"}";
        let failed = "inkpass_otlp_exports_failed_total{signal=\"metrics\"}";
        until(async || figure(&serving.scrape().await, lost) >= 1.0).await;
        until(async || figure(&serving.scrape().await, failed) >= 1.0).await;
        drop(client);
        let stderr = serving.stop().await;
        for cause in ["refuses some of the spans", "refuses some of the metrics"] {
            assert!(stderr.contains(cause), "{stderr}");
        }
        assert!(!stderr.contains("too many"), "a collector's own words are in no log: {stderr}");
    }
}

#[tokio::test]
async fn a_page_where_a_collector_should_be_takes_nothing() {
    let (world, listener) =
        (World::on_the_system_s_clock().await, TcpListener::bind(ANY_PORT).await.unwrap());
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let page =
        axum::Router::new().fallback(async || ([("content-type", "Text/HTML; charset=UTF-8")], "Log in"));
    tokio::spawn(async move { axum::serve(listener, page).await });
    let settings = format!("otlp_protocol = 'http/protobuf'\notlp_endpoint = '{endpoint}'");
    let run = create_a_room(&world, &SOON, &settings).await;
    assert!(run.stderr.contains("no collector: it sends a page of HTML"), "{}", run.stderr);
    assert!(!run.stderr.contains("Log in"), "{}", run.stderr);
}

#[tokio::test]
async fn a_collector_that_comes_and_goes_is_not_told_of_each_time() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &SOON, &settings).await;
    let name = "inkpass_otlp_exports_failed_total{signal=\"metrics\"}";
    for _ in 0..5 {
        let failed = figure(&serving.scrape().await, name);
        receiver.refuse(true);
        until(async || figure(&serving.scrape().await, name) > failed).await;
        let taken = receiver.metrics().len();
        receiver.refuse(false);
        until(async || receiver.metrics().len() > taken).await;
    }
    let stderr = serving.stop().await;
    let again: Vec<_> = exports(&stderr).iter().map(|(message, _)| message.contains("again")).collect();
    // Each of these lines comes after one that it failed, and of those there is one a minute.
    assert!(again.contains(&true) && again.windows(2).all(|pair| pair != [true, true]), "{stderr}");
}

/// The causes are those in docs/traces.md.
#[tokio::test]
async fn a_collector_that_speaks_the_other_protocol_is_told_of() {
    let world = World::on_the_system_s_clock().await;
    // What a server of HTTP/1 says to HTTP/2's preface, and how a server of HTTP/2 begins.
    let bad_request = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".as_bytes();
    let settings_frame = [0, 0, 0, 4, 0, 0, 0, 0, 0].as_slice();
    for (protocol, says, cause) in [
        ("grpc", bad_request, "frame with invalid size"),
        ("http/protobuf", settings_frame, "invalid HTTP version parsed"),
    ] {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Not before the request: else it may be told only that the connection is closed.
                let mut asked = Vec::new();
                while !asked.windows(7).any(|part| part == b"inkpass") {
                    if stream.read_buf(&mut asked).await.unwrap_or_default() == 0 {
                        break;
                    }
                }
                let _ = stream.write_all(says).await;
                // Closed only when the client has closed it, so that the answer is not lost.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        });
        let settings = format!("otlp_protocol = '{protocol}'\notlp_endpoint = '{endpoint}'");
        let run = create_a_room(&world, &SOON, &settings).await;
        assert!(run.stderr.contains(cause), "{protocol}: {}", run.stderr);
    }
}

#[tokio::test]
async fn more_spans_than_the_queue_holds_are_dropped_and_counted() {
    let world = World::on_the_system_s_clock().await;
    let silent = TcpListener::bind(ANY_PORT).await.unwrap();
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = 'http://{}'", silent.local_addr().unwrap());
    let environment = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
    ];
    let serving = Serving::start(&world, &environment, &settings).await;
    let client = serving.client().await;
    for _ in 0..100 {
        client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
    }
    let dropped = |cause: &str| format!("inkpass_spans_dropped_total{{cause=\"{cause}\"}}");
    until(async || figure(&serving.scrape().await, &dropped("queue")) > 0.0).await;
    until(async || figure(&serving.scrape().await, &dropped("export")) > 0.0).await;
    drop(client);
    let stderr = serving.stop().await;
    let told = stderr.matches("more spans than the queue holds").count();
    assert_eq!(told, 1, "{stderr}");
    assert!(stderr.contains("no answer in 500ms"), "{stderr}");
}
