//! The spans of calls.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
};
use inkpass::{
    client::{Client, CredentialFile, Options},
    proto::{
        CreateRoomRequest, IssueTokenRequest, Role, SdkScope, VerifyTokenRequest, issue_token_request::Scope,
    },
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::{net::TcpListener, task::spawn_blocking};
use tonic::{Request, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Receiver, Serving, create_a_room, failures, hex, receiver};
use crate::{
    command_line::{Served, program, run, text},
    helpers::{ANY_PORT, World, place::Place, redis::Redis},
};

fn attribute(span: &Span, name: &str) -> String {
    receiver::attribute(&span.attributes, name)
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
    for (name, value) in [
        ("inkpass.principal", "anonymous"),
        ("inkpass.project", "default"),
        ("inkpass.region", "eu"),
        ("inkpass.access_key", "active-key"),
        ("network.peer.address", "127.0.0.1"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(
            calls.iter().map(|call| attribute(call, name)).collect::<Vec<_>>(),
            [value, value],
            "{name}"
        );
    }
    for port in ["server.port", "network.peer.port"] {
        assert!(calls.iter().all(|call| attribute(call, port).parse::<u16>().is_ok()), "{port}");
    }
    let ports = |name: &str| calls.iter().map(|call| attribute(call, name)).collect::<Vec<_>>();
    assert_ne!(ports("server.port"), ports("network.peer.port"));
    assert_eq!(attribute(calls[1], "inkpass.reason"), "UPSTREAM_OUTCOME_UNKNOWN");
    // Each decides, and records its decision and its outcome.
    assert_eq!((named("authorize").len(), named("audit").len()), (2, 4), "{spans:#?}");
    let steps = named("authorize").into_iter().chain(named("audit"));
    assert!(steps.into_iter().all(|step| calls.iter().any(|call| call.span_id == step.parent_span_id)));
    let of = |call: &Span| attempts.iter().find(|attempt| attempt.parent_span_id == call.span_id).unwrap();
    let (good, bad) = (of(calls[0]), of(calls[1]));
    assert_eq!((good.kind, attribute(good, "http.response.status_code")), (3, "201".to_owned()));
    assert_eq!(attribute(good, "url.full"), format!("{}/v5/rooms", world.upstream.base_url()));
    assert_eq!(
        (attribute(good, "url.template"), attribute(good, "network.protocol.version")),
        ("/v5/rooms".into(), "1.1".into())
    );
    assert_eq!(
        (attribute(good, "http.request.resend_count"), attribute(good, "error.type")),
        (String::new(), String::new())
    );
    assert_eq!(
        (attribute(bad, "error.type"), attribute(bad, "http.response.status_code")),
        ("500".into(), "500".into())
    );
    assert_eq!(bad.status.as_ref().unwrap().code, 2);
    assert_eq!(
        (attribute(calls[0], "rpc.status_code"), attribute(calls[1], "rpc.status_code")),
        ("OK".into(), "ABORTED".into())
    );

    assert!(run.stderr.contains("the last spans are exported"), "{}", run.stderr);
    let failures = failures(&run);
    assert_eq!(failures.len(), 2, "a failure is logged once: {}", run.stderr);
    for (failure, flags) in failures.iter().zip(["01", "00"]) {
        assert_eq!(failure["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(failure["trace_flags"], flags);
        assert_eq!(failure["rpc.method"], "inkpass.v1.RoomService/CreateRoom");
        assert_eq!(failure["request_id"].as_str().unwrap().len(), 36);
    }
    assert!(failures[1].get("span_id").is_none(), "an unsampled call has no span: {}", failures[1]);
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
async fn a_read_that_is_repeated_has_a_span_for_each_attempt() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let client = serving.client().await;
    world.upstream.fail_once("/v5/rooms", 503).await;
    let mut request = Request::new(inkpass::proto::ListRoomsRequest::default());
    request.metadata_mut().insert("grpc-previous-rpc-attempts", "2".parse().unwrap());
    client.rooms().list_rooms(request).await.unwrap();
    drop(client);
    serving.stop().await;

    let mut attempts = receiver.spans_named("GET /v5/rooms");
    attempts.sort_by_key(|attempt| attempt.start_time_unix_nano);
    let of = |name: &str| attempts.iter().map(|attempt| attribute(attempt, name)).collect::<Vec<_>>();
    assert_eq!(of("http.request.resend_count"), ["", "1"]);
    assert_eq!(of("error.type"), ["503", ""]);
    assert!(of("url.full").iter().all(|url| !url.contains("NETLESS")));
    let call = &receiver.spans_named("inkpass.v1.RoomService/ListRooms")[0];
    assert!(call.parent_span_id.is_empty(), "it begins here");
    assert_eq!(attribute(call, "inkpass.region"), "eu", "also of a call that is not audited");
    let sent_before = attribute(call, "rpc.request.metadata.grpc-previous-rpc-attempts");
    assert!(sent_before.contains("\"2\""), "{sent_before}");
}

#[tokio::test]
async fn a_call_s_span_begins_with_its_authentication_and_says_who_called() {
    let (world, receiver, place) = (World::on_the_system_s_clock().await, Receiver::default(), Place::new());
    let (key, lines) = text(&run(&["api-key", "new", "--principal", "key:billing"]).stdout)
        .split_once("\n\n")
        .map(|(key, lines)| (key.to_owned(), lines.to_owned()))
        .unwrap();
    fs::write(place.join("callers.toml"), lines).unwrap();
    fs::write(place.join("key"), key).unwrap();
    fs::set_permissions(place.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let settings = format!(
        "sampling_ratio = 1.0\notlp_endpoint = '{}'\n[identity]\napi_keys_file = '{}'",
        receiver.start().await,
        place.join("callers.toml").display()
    );
    let serving = Serving::start(&world, &[], &settings).await;
    let server = format!("http://{}", serving.grpc);
    let credential = Some(CredentialFile::ApiKey(place.join("key")));
    let known =
        Client::connect_with(Options { server: server.clone(), credential, ..Options::default() }).await;
    let unknown = Client::connect(&server).await.unwrap();
    let request = || {
        let mut request = Request::new(IssueTokenRequest::default());
        let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.metadata_mut().insert("traceparent", caller.parse().unwrap());
        request
    };
    known.unwrap().tokens().issue_token(request()).await.unwrap_err();
    unknown.tokens().issue_token(request()).await.unwrap_err();
    drop(unknown);
    serving.stop().await;

    let calls = receiver.spans_named("inkpass.v1.TokenService/IssueToken");
    let [known, unknown] = ["INVALID_REQUEST", "CALLER_UNKNOWN"]
        .map(|reason| calls.iter().find(|call| attribute(call, "inkpass.reason") == reason).unwrap());
    assert_eq!(attribute(known, "inkpass.principal"), "key:billing");
    assert_eq!(known.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(attribute(unknown, "inkpass.principal"), "");
    assert!(unknown.parent_span_id.is_empty(), "whom nobody knows is not followed");
    let authentications = receiver.spans_named("authenticate");
    for (call, error, status) in [(known, "", 0), (unknown, "CALLER_UNKNOWN", 2)] {
        let step = authentications.iter().find(|step| step.parent_span_id == call.span_id).unwrap();
        assert_eq!(
            (attribute(step, "error.type"), step.status.as_ref().unwrap().code),
            (error.into(), status)
        );
        assert_eq!(step.start_time_unix_nano, call.start_time_unix_nano);
        assert!(step.end_time_unix_nano <= call.end_time_unix_nano);
    }
}

#[tokio::test]
async fn a_method_that_is_not_served_is_named_as_it_was_asked_for() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let http = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let long = format!("a.Service/{}", "x".repeat(1000));
    for method in ["a.Service/Method", &long] {
        let request = http.post(format!("http://{}/{method}", serving.grpc));
        request.header("content-type", "application/grpc").send().await.unwrap();
    }
    drop(http);
    serving.stop().await;
    let of = |name: &str| {
        let mut of: Vec<_> = receiver.spans_named("grpc").iter().map(|span| attribute(span, name)).collect();
        of.sort();
        of
    };
    assert_eq!(of("rpc.method"), ["_OTHER", "_OTHER"]);
    assert_eq!(of("rpc.method_original"), ["a.Service/Method".to_owned(), long[..256].to_owned()]);
    assert_eq!(of("error.type"), ["UNIMPLEMENTED", "UNIMPLEMENTED"]);
}

#[tokio::test]
async fn a_call_says_by_which_name_the_server_was_called() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let long = format!("{}.example", "x".repeat(1000));
    let names = [
        ("[2001:db8::1]:50051", "2001:db8::1", "50051"),
        ("inkpass.example", "inkpass.example", ""),
        (&long, &long[..256], ""),
    ];
    for (name, ..) in names {
        let endpoint = Endpoint::from_shared(format!("http://{}", serving.grpc)).unwrap();
        let channel = endpoint.origin(format!("http://{name}").parse().unwrap()).connect().await.unwrap();
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    }
    serving.stop().await;
    let calls = receiver.spans_named("grpc.health.v1.Health/Check");
    let told = calls.iter().map(|call| (attribute(call, "server.address"), attribute(call, "server.port")));
    let wanted = names.map(|(_, address, port)| (address.to_owned(), port.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn what_is_not_sampled_has_no_span_and_what_a_caller_samples_has() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings =
        format!("sampling_ratio = 0.0\naccess_log = 'all'\notlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let client = serving.client().await;
    client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
    drop(client);
    let stderr = serving.stop().await;
    assert!(receiver.spans().is_empty(), "{:#?}", receiver.spans());
    assert!(stderr.contains("\"rpc.method\":\"inkpass.v1.RoomService/CreateRoom\""), "{stderr}");
}

/// An upstream that refuses everything, and keeps the headers of each call.
async fn upstream() -> (String, Arc<Mutex<Vec<HeaderMap>>>) {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let keep = kept.clone();
    let router = Router::new().fallback(async move |headers: HeaderMap| {
        keep.lock().unwrap().push(headers);
        StatusCode::FORBIDDEN
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, kept)
}

#[tokio::test]
async fn the_trace_goes_on_upstream_only_where_the_settings_say_so() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let (url, headers) = upstream().await;
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = '{}'", receiver.start().await);
    for (propagates, propagators) in [("false", "tracecontext"), ("true", "baggage"), ("true", "")] {
        let environment = [
            ("INKPASS_WHITEBOARD__BASE_URL", &*url),
            ("INKPASS_WHITEBOARD__PROPAGATE_TRACE", propagates),
            ("OTEL_PROPAGATORS", propagators),
        ];
        let serving = Serving::start(&world, &environment, &settings).await;
        let client = serving.client().await;
        client.rooms().create_room(CreateRoomRequest::default()).await.unwrap_err();
        drop(client);
        serving.stop().await;
    }
    let headers = headers.lock().unwrap();
    assert_eq!(headers.len(), 3);
    let is_told =
        |headers: &HeaderMap| headers.contains_key("traceparent") || headers.contains_key("tracestate");
    assert!(!headers[..2].iter().any(is_told));
    let attempts = receiver.spans_named("POST /v5/rooms");
    let ids = |span: &Span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    let sent = headers[2]["traceparent"].to_str().unwrap();
    assert!(attempts.iter().any(|attempt| ids(attempt) == sent), "{sent}");
}

#[tokio::test]
async fn dev_exports_where_the_variables_ask_for_it() {
    let receiver = Receiver::default();
    let (mut command, any) = (Command::new(program()), "127.0.0.1:0");
    command.args(["dev", "--listen", any, "--admin-listen", any, "--emulator-listen", any]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.start().await);
    let dev = spawn_blocking(move || Served::run(command)).await.unwrap();
    let client = Client::connect(&dev.server()).await.unwrap();
    client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
    drop(client);
    spawn_blocking(move || drop(dev)).await.unwrap();
    assert_eq!(receiver.spans_named("inkpass.v1.RoomService/CreateRoom").len(), 1);
    assert!(!receiver.metrics().is_empty());
}

#[tokio::test]
async fn a_verification_s_span_names_the_project_and_the_key_where_they_are_ours() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("sampling_ratio = 1.0\notlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let client = serving.client().await;
    let verify = async |token| {
        let request = VerifyTokenRequest { token, ..VerifyTokenRequest::default() };
        client.tokens().verify_token(request).await.unwrap()
    };
    let scope = Some(Scope::Sdk(SdkScope {}));
    let request = IssueTokenRequest { scope, role: Role::Reader.into(), ..IssueTokenRequest::default() };
    let issued = client.tokens().issue_token(request).await.unwrap().into_inner();
    verify(issued.token.unwrap().value).await;
    verify("NETLESSROOM_no-token".to_owned()).await;
    drop(client);
    serving.stop().await;
    let calls = receiver.spans_named("inkpass.v1.TokenService/VerifyToken");
    let named = |name: &str| calls.iter().map(|call| attribute(call, name)).collect::<Vec<_>>();
    assert_eq!(named("inkpass.project"), ["default", ""]);
    assert_eq!(named("inkpass.access_key"), ["active-key", ""]);
    let decisions = receiver.spans_named("authorize");
    assert!(calls.iter().all(|call| decisions.iter().any(|step| step.parent_span_id == call.span_id)));
}
