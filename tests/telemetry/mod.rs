//! Traces, metrics and logs of the real program, at a real OTLP receiver.

mod access_log;
mod failing;
mod flood;
mod in_use;
mod logs;
mod metrics;
mod pushed;
mod python;
mod receiver;
mod tls;
mod traces;
mod variables;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};
use tonic::Request;

pub(crate) use self::receiver::Receiver;
use crate::{
    command_line::program,
    helpers::{World, canary, place::Place},
};

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

/// Settings by which every call has spans, and this collector gets them.
fn every_span_to(endpoint: &str, protocol: &str) -> String {
    format!("sampling_ratio = 1.0\notlp_protocol = '{protocol}'\notlp_endpoint = '{endpoint}'")
}

/// A running `inkpass serve`.
struct Serving {
    process: Child,
    // Read to the end of the test: nothing is handed out that cannot be written down.
    stdout: BufReader<ChildStdout>,
    grpc: String,
    admin: String,
    _directory: Place,
}

impl Serving {
    async fn start(world: &World, environment: &[(&str, &str)], more_settings: &str) -> Self {
        let directory = Place::new();
        let mut command = serve(world, directory.path(), more_settings);
        let mut process = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).await.unwrap();
        let part = |name: &str| {
            let part = line.trim().split(' ').find_map(|part| part.strip_prefix(name)).unwrap_or_else(|| {
                panic!("no {name} in {line:?}");
            });
            part.to_owned()
        };
        Self { grpc: part("grpc="), admin: part("admin="), process, stdout, _directory: directory }
    }

    async fn client(&self) -> inkpass::client::Client {
        inkpass::client::Client::connect(&format!("http://{}", self.grpc)).await.unwrap()
    }

    async fn scrape(&self) -> String {
        let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let answer = http.get(format!("http://{}/metrics", self.admin)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Terminates it, and gives what it wrote to standard error.
    async fn stop(mut self) -> String {
        let id = self.process.id().unwrap().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let mut stderr = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
        let mut written = String::new();
        self.stdout.read_to_string(&mut written).await.unwrap();
        canary::look_through("the log", stderr.as_bytes());
        canary::look_through("the audit trail", written.as_bytes());
        let is_json = |line| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(written.lines().all(is_json), "{written}");
        let ended = tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "{stderr}");
        stderr
    }
}

/// Serves, and stops after three creating calls with a caller's trace: one succeeds, one fails, and one fails
/// whose caller does not sample.
async fn create_a_room(world: &World, environment: &[(&str, &str)], more_settings: &str) -> Run {
    let serving = Serving::start(world, environment, more_settings).await;
    let client = serving.client().await;
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
    drop(client);
    Run { stderr: serving.stop().await, token: answer.token.unwrap().value }
}

/// The lines about failures of the upstream.
fn failures(run: &Run) -> Vec<serde_json::Value> {
    let lines = lines(&run.stderr);
    lines.into_iter().filter(|line| line.get("upstream.detail").is_some()).collect()
}

/// The log's lines.
fn lines(stderr: &str) -> Vec<serde_json::Value> {
    stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
