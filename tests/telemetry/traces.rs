//! Spans, and the variables that decide of their export.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;

use super::{Receiver, attribute, create_a_room, failures, serve};
use crate::helpers::{ANY_PORT, World, place::Place, redis::Redis};

#[tokio::test]
async fn a_call_is_one_trace_from_its_caller_to_the_upstream_attempt() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let endpoint = receiver.start().await;
    // The settings name a place where nobody listens: the variables take precedence.
    let settings = "otlp_endpoint = 'http://127.0.0.1:1'\nsampling_ratio = 0.0";
    let run = create_a_room(&world, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)], settings).await;

    let spans = receiver.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (calls, signings, attempts) =
        (named("inkpass.v1.RoomService/CreateRoom"), named("sign"), named("POST /v5/rooms"));
    assert_eq!((calls.len(), signings.len(), attempts.len()), (2, 1, 2), "{spans:#?}");
    for span in &spans {
        assert_eq!(span.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    }
    for call in &calls {
        assert_eq!(call.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
        assert_eq!((call.kind, attribute(call, "rpc.system.name")), (2, "grpc".to_owned()));
        assert_eq!(attribute(call, "rpc.method"), "inkpass.v1.RoomService/CreateRoom");
    }
    assert_eq!(signings[0].parent_span_id, calls[0].span_id);
    let of = |call: &Span| attempts.iter().find(|attempt| attempt.parent_span_id == call.span_id).unwrap();
    let (good, bad) = (of(calls[0]), of(calls[1]));
    assert_eq!((good.kind, attribute(good, "http.response.status_code")), (3, "201".to_owned()));
    assert_eq!(attribute(good, "url.full"), format!("{}/v5/rooms", world.upstream.base_url()));
    assert_eq!(attribute(bad, "error.type"), "outcome_unknown");
    assert_eq!(bad.status.as_ref().unwrap().code, 2);
    assert_eq!(
        (attribute(calls[0], "rpc.status_code"), attribute(calls[1], "rpc.status_code")),
        ("OK".into(), "ABORTED".into())
    );

    let failures = failures(&run);
    assert_eq!(failures.len(), 2, "a failure is logged once: {}", run.stderr);
    for (failure, flags) in failures.iter().zip(["01", "00"]) {
        assert_eq!(failure["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(failure["trace_flags"], flags);
        assert_eq!(failure["rpc.method"], "inkpass.v1.RoomService/CreateRoom");
        assert_eq!(failure["request_id"].as_str().unwrap().len(), 36);
    }
    let span_id = failures[0]["span_id"].as_str().unwrap();
    let logged_in = [bad, calls[1]]
        .map(|span| format!("{:016x}", u64::from_be_bytes(span.span_id[..].try_into().unwrap())));
    assert!(logged_in.iter().any(|id| id == span_id), "{span_id} in {logged_in:?}");

    let exported = String::from_utf8_lossy(&receiver.bytes()).into_owned();
    for secret in ["NETLESS", &*run.token] {
        assert!(!exported.contains(secret) && !run.stderr.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_a_call_asks_of_the_store_is_in_its_trace() {
    let Some(redis) = Redis::plain().await else { return };
    let (world, receiver, place) = (World::on_the_system_s_clock().await, Receiver::default(), Place::new());
    let write = |name: &str, content: &str| {
        fs::write(place.join(name), content).unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        place.join(name).to_str().unwrap().to_owned()
    };
    let (url, salt) = (write("url", &redis.url()), write("salt", "a salt of all replicas"));
    let settings = format!("otlp_endpoint = '{}'\n[store]\nurl_file = '{url}'", receiver.start().await);
    create_a_room(&world, &[("INKPASS_AUDIT__SALT_FILE", &salt)], &settings).await;

    let spans = receiver.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (calls, swaps) = (named("inkpass.v1.RoomService/CreateRoom"), named("swap"));
    // Each claims, says that it sends, and leaves its outcome.
    assert_eq!((calls.len(), swaps.len()), (2, 6), "{spans:#?}");
    for swap in swaps {
        assert!(calls.iter().any(|call| call.span_id == swap.parent_span_id));
        assert_eq!((swap.kind, attribute(swap, "db.system.name")), (3, "redis".to_owned()));
    }
}

#[tokio::test]
async fn nothing_is_exported_unless_somebody_asks_for_it() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let endpoint = receiver.start().await;
    let settings = format!("otlp_endpoint = '{endpoint}'");
    create_a_room(&world, &[("OTEL_SDK_DISABLED", "true")], &settings).await;
    create_a_room(&world, &[("OTEL_TRACES_EXPORTER", "none")], &settings).await;
    create_a_room(&world, &[], "").await;
    assert!(receiver.spans().is_empty());
    create_a_room(&world, &[], &settings).await;
    assert!(!receiver.spans().is_empty(), "the settings alone are enough");
}

#[tokio::test]
async fn a_protocol_other_than_grpc_is_refused_at_the_start_with_its_variable_s_name() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
    let refused: [(&[(&str, &str)], &str); 4] = [
        (&[(ALL, "http/protobuf")], "OTEL_EXPORTER_OTLP_PROTOCOL is \"http/protobuf\""),
        (&[(TRACES, "http/json")], "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is \"http/json\""),
        (&[(ALL, "grpc"), (TRACES, "thrift")], "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is \"thrift\""),
        (&[(ALL, "http"), (TRACES, "")], "OTEL_EXPORTER_OTLP_PROTOCOL is \"http\""),
    ];
    for (environment, what) in refused {
        let directory = Place::new();
        let mut command = serve(&world, directory.path(), &settings);
        let ended = command.envs(environment.iter().copied()).output();
        let output = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with(&format!("inkpass: {what}, but traces are exported by gRPC only: ")),
            "{error}"
        );
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{error}");
    }

    // Where nothing is exported, no protocol is wrong.
    create_a_room(&world, &[(ALL, "http/protobuf"), ("OTEL_SDK_DISABLED", "true")], &settings).await;
    assert!(receiver.spans().is_empty());
    create_a_room(&world, &[(ALL, "http/protobuf"), (TRACES, "GRPC")], &settings).await;
    assert!(!receiver.spans().is_empty(), "the variable for traces takes precedence");
}

#[tokio::test]
async fn a_collector_that_is_away_delays_neither_calls_nor_the_end() {
    let world = World::on_the_system_s_clock().await;
    // One takes connections, and says nothing.
    let silent = TcpListener::bind(ANY_PORT).await.unwrap();
    for address in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let run = create_a_room(&world, &[], &format!("otlp_endpoint = 'http://{address}'")).await;
        assert!(run.stderr.contains("the last spans were not exported"), "{}", run.stderr);
        assert!(!run.stderr.contains("the last spans are exported"), "{}", run.stderr);
        assert!(run.stop < Duration::from_millis(1800), "{address}: {:?}", run.stop);
    }
    let receiver = Receiver::default();
    let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
    let run = create_a_room(&world, &[], &settings).await;
    assert!(run.stderr.contains("the last spans are exported"), "{}", run.stderr);
}
