//! Traces, metrics and logs of the real program, at a real OTLP receiver.

mod in_use;
mod logs;
mod metrics;
mod traces;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
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
    helpers::{ANY_PORT, World, canary, place::Place},
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
    /// How long its stop took.
    stop: Duration,
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
    let stopping = Instant::now();
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
    Run { stderr, token: answer.token.unwrap().value, stop: stopping.elapsed() }
}

/// The lines about failures of the upstream.
fn failures(run: &Run) -> Vec<serde_json::Value> {
    let lines = run.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line.get("upstream.detail").is_some()).collect()
}
