//! The `OTEL_*` variables, by what the real program does with them. What each may be: `src/telemetry/export/`.

use std::time::Duration;

use super::{Receiver, create_a_room, lines, receiver::attribute, serve};
use crate::helpers::{World, place::Place};

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_a_mistake_in_the_settings() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    let must = "must be an http or https URL without a user or password, such as \"http://collector:4317\"";
    let world = World::on_the_system_s_clock().await;
    for (variable, value) in [
        (ALL, "127.0.0.1:4317"),
        (ALL, "grpc://127.0.0.1:4317"),
        (TRACES, "collector"),
        (METRICS, "unix:///run/collector"),
        (ALL, "http://user:secret@collector:4317"),
    ] {
        let directory = Place::new();
        let mut command = serve(&world, directory.path(), "otlp_endpoint = 'http://127.0.0.1:1'");
        let ended = command.env(variable, value).output();
        let output = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error, format!("inkpass: {variable}: {must}\n"));
        assert_eq!(output.status.code(), Some(64));
    }
    for (endpoint, what) in [
        ("127.0.0.1:4317", "must be an http or https URL, such as \"http://collector:4317\"\n"),
        ("grpc://127.0.0.1:4317", "must be an http or https URL, such as \"http://collector:4317\"\n"),
        ("http://user:secret@collector:4317", "must have no user or password"),
    ] {
        let directory = Place::new();
        let mut command = serve(&world, directory.path(), &format!("otlp_endpoint = '{endpoint}'"));
        let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await.unwrap().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("telemetry.otlp_endpoint: {what}")), "{error}");
        assert_eq!(output.status.code(), Some(64));
    }
    // Where nothing is exported, no endpoint is wrong.
    create_a_room(&world, &[(ALL, "127.0.0.1:4317"), ("OTEL_SDK_DISABLED", "true")], "").await;
}

#[tokio::test]
async fn what_cannot_be_used_is_warned_of_by_name_and_the_defaults_are_used() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
    let environment = [
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
        ("OTEL_PROPAGATORS", "b3,tracecontext"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nothing"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,a bad header"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ("OTEL_SDK_DISABLED", "1"),
    ];
    let run = create_a_room(&world, &environment, &settings).await;
    let warned: Vec<_> = lines(&run.stderr)
        .into_iter()
        .filter(|line| line["level"] == "WARN")
        .filter_map(|line| Some(line.get("variable")?.as_str()?.to_owned()))
        .collect();
    for (variable, _) in environment {
        assert!(
            warned.iter().filter(|warned| *warned == variable).count() == 1,
            "{variable}: {}",
            run.stderr
        );
    }
    assert!(run.stderr.contains("xray") && !run.stderr.contains("a bad header"), "{}", run.stderr);
    // The caller's decision is followed, over gRPC, as without the variables.
    assert_eq!(receiver.spans_named("inkpass.v1.RoomService/CreateRoom").len(), 2);
    assert!(!receiver.metrics().is_empty());
    assert_eq!(receiver.headers()["a"], "b");
}

#[tokio::test]
async fn spans_have_as_many_attributes_of_such_a_length_as_the_variables_say() {
    let world = World::on_the_system_s_clock().await;
    let attributes = async |variable: &str, value: &str| {
        let receiver = Receiver::default();
        let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
        create_a_room(&world, &[(variable, value)], &settings).await;
        receiver.spans_named("inkpass.v1.RoomService/CreateRoom").remove(0).attributes
    };
    assert_eq!(attributes("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2").await.len(), 2);
    assert!(attributes("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0").await.is_empty());
    let short = attributes("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4").await;
    assert_eq!(attribute(&short, "inkpass.principal"), "anon");
    assert_eq!(attribute(&short, "rpc.system.name"), "grpc");
    assert_eq!(attribute(&short, "server.port").parse::<u16>().map(|port| port > 0), Ok(true));
}

#[tokio::test]
async fn the_collector_gets_headers_without_their_percent_encoding_by_both_protocols() {
    let world = World::on_the_system_s_clock().await;
    for protocol in ["grpc", "http/protobuf"] {
        for value in ["Authorization=Basic%20abc%3D%3D", "Authorization=Basic abc=="] {
            let receiver = Receiver::default();
            let endpoint = receiver.start().await;
            let environment = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_HEADERS", value),
            ];
            let run = create_a_room(&world, &environment, "").await;
            assert_eq!(receiver.headers()["authorization"], "Basic abc==", "{protocol}: {}", run.stderr);
            assert!(!run.stderr.contains("abc=="));
        }
    }
}

#[tokio::test]
async fn both_signals_speak_of_the_one_service_that_the_variables_name() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let endpoint = receiver.start().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%2Cb"),
    ];
    create_a_room(&world, &environment, "").await;
    let resources = receiver.resources();
    assert!(!receiver.spans().is_empty() && !receiver.metrics().is_empty());
    for resource in &resources {
        let of = |name: &str| attribute(&resource.attributes, name);
        assert_eq!((of("service.name"), of("deployment.environment.name")), ("mine".into(), "a,b".into()));
        assert_eq!(
            (of("service.version"), of("telemetry.sdk.language")),
            (env!("CARGO_PKG_VERSION").into(), "rust".into())
        );
        assert_eq!(of("service.instance.id").len(), 36);
        assert_eq!(resource.attributes.len(), resources[0].attributes.len());
    }
}

#[tokio::test]
async fn the_protocol_comes_from_the_signal_s_variable_then_from_the_shared_one_then_from_the_setting() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    let world = World::on_the_system_s_clock().await;
    let is_http = async |environment: &[(&str, &str)], setting: &str| {
        let receiver = Receiver::default();
        let settings = format!("otlp_protocol = '{setting}'\notlp_endpoint = '{}'", receiver.start().await);
        create_a_room(&world, environment, &settings).await;
        receiver.headers()["content-type"] == "application/x-protobuf"
    };
    assert!(is_http(&[], "http/protobuf").await);
    assert!(!is_http(&[(ALL, "grpc")], "http/protobuf").await);
    assert!(is_http(&[(ALL, "grpc"), (TRACES, "http/protobuf")], "grpc").await);
    assert!(!is_http(&[(ALL, ""), (TRACES, "")], "grpc").await);
}
