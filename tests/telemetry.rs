//! Traces, metrics and logs of the real program, at a real OTLP receiver.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::Command,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    command_line::program,
    helpers::{ANY_PORT, World, canary, place::Place, redis::Redis},
};

/// Keeps every span that it is sent.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        canary::look_through("a trace", &request.encode_to_vec());
        self.0.lock().unwrap().push(request);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap().clone();
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().iter().flat_map(Message::encode_to_vec).collect()
    }
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// What a run of `inkpass serve` left behind.
struct Run {
    stderr: String,
    token: String,
}

/// `inkpass serve` in front of a world's emulator. Its files are in `directory`.
fn serve(world: &World, directory: &Path, more_settings: &str) -> Command {
    let path = |name: &str| directory.join(name);
    fs::write(path("access"), "active-key").unwrap();
    fs::write(path("secret"), canary::secret_of("active-key")).unwrap();
    fs::set_permissions(path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let settings = format!(
        "[whiteboard]\nbase_url = '{}'\n[telemetry]\n{more_settings}\n[projects.default]\nregion = 'eu'\n\
         keys = [{{ access_key_file = '{}', secret_key_file = '{}', state = 'active' }}]\n",
        world.upstream.base_url(),
        path("access").display(),
        path("secret").display()
    );
    fs::write(path("inkpass.toml"), settings).unwrap();
    let mut command = Command::new(program());
    command
        .args([
            "serve",
            "--insecure-allow-all",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--config",
        ])
        .arg(path("inkpass.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Serves, and stops after three creating calls with a caller's trace: one succeeds, one fails, and one fails
/// whose caller does not sample.
async fn create_a_room(world: &World, environment: &[(&str, &str)], more_settings: &str) -> Run {
    let directory = Place::new();
    let mut process =
        serve(world, directory.path(), more_settings).envs(environment.iter().copied()).spawn().unwrap();
    let mut line = String::new();
    // Read to the end of the test: nothing is handed out that cannot be written down.
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    stdout.read_line(&mut line).await.unwrap();
    let grpc = line.split(' ').find_map(|part| part.strip_prefix("grpc=")).unwrap();

    let client = inkpass::client::Client::connect(&format!("http://{grpc}")).await.unwrap();
    let grant = inkpass::proto::TokenGrant { role: inkpass::proto::Role::Writer.into(), validity: None };
    // The act of a call with a request id runs in a task of its own, within the same trace.
    let traced = |request_id: &str, flags: &str, token_grant: Option<inkpass::proto::TokenGrant>| {
        let request_id = request_id.to_owned();
        let request = inkpass::proto::CreateRoomRequest { token_grant, request_id, ..Default::default() };
        let mut request = Request::new(request);
        let caller = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        request.metadata_mut().insert("traceparent", caller.parse().unwrap());
        request
    };
    let created = traced("6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11", "01", Some(grant));
    let answer = client.rooms().create_room(created).await.unwrap().into_inner();
    let failed =
        [("7fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11", "01"), ("8fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11", "00")];
    for (request_id, flags) in failed {
        world.upstream.fail_once("/v5/rooms", 500).await;
        client.rooms().create_room(traced(request_id, flags, None)).await.unwrap_err();
    }

    let id = process.id().unwrap().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
    let mut stderr = String::new();
    process.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    let mut written = String::new();
    stdout.read_to_string(&mut written).await.unwrap();
    canary::look_through("the log", stderr.as_bytes());
    canary::look_through("the audit trail", written.as_bytes());
    assert!(written.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{written}");
    let ended = tokio::time::timeout(Duration::from_secs(30), process.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{stderr}");
    Run { stderr, token: answer.token.unwrap().value }
}

/// The lines about failures of the upstream.
fn failures(run: &Run) -> Vec<serde_json::Value> {
    let lines = run.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line.get("upstream.detail").is_some()).collect()
}

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
async fn a_failure_names_its_call_however_little_is_logged() {
    let world = World::on_the_system_s_clock().await;
    for level in ["warn", "info"] {
        let run = create_a_room(&world, &[], &format!("log_level = '{level}'")).await;
        let failures = failures(&run);
        assert_eq!(failures.len(), 2, "{}", run.stderr);
        for failure in failures {
            assert_eq!(failure["request_id"].as_str().map(str::len), Some(36), "{level}");
        }
    }
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
    create_a_room(&world, &[], "otlp_endpoint = 'http://127.0.0.1:1'").await;
}

#[tokio::test]
async fn metrics_count_every_call_by_its_code_and_reason() {
    let world = World::start().await;
    for _ in 0..3 {
        let _ = world.client.tokens().issue_token(inkpass::proto::IssueTokenRequest::default()).await;
    }
    world.client.rooms().create_room(inkpass::proto::CreateRoomRequest::default()).await.unwrap();
    let line = |method: &str, code: &str, reason: &str, count: u32| {
        let labels =
            format!("reason=\"{reason}\",rpc_method=\"inkpass.v1.{method}\",rpc_status_code=\"{code}\"");
        format!("inkpass_calls_total{{{labels}}} {count}\n")
    };
    // A call has ended for its caller a moment before it is counted.
    let wanted = [
        line("TokenService/IssueToken", "INVALID_ARGUMENT", "INVALID_REQUEST", 3),
        line("RoomService/CreateRoom", "OK", "", 1),
    ];
    let mut text = world.metrics().await;
    while !wanted.iter().all(|line| text.contains(line)) {
        tokio::task::yield_now().await;
        text = world.metrics().await;
    }
    assert!(text.contains("inkpass_build_info{version=\""), "{text}");
    assert!(text.contains(
        "rpc_server_call_duration_seconds_count{rpc_method=\"inkpass.v1.TokenService/IssueToken\"} 3\n"
    ));
}
