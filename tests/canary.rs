//! A secret key that must be nowhere: row 42 of the fault cases. The real programs, with every call
//! of the contract and every failure of the upstream, at the log's finest level.

use std::{
    fmt::Write,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Buf, BufMut, Bytes};
use futures_util::future::join_all;
use inkpass::client::Client;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage, Value,
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{
    command_line::{hardening::read_memory, inkpass},
    helpers::{
        canary::{CANARY, contains, find, forms},
        upstream::Upstream,
    },
    telemetry::Receiver,
};

/// Every message as it is on the wire.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}

/// What a request is filled with.
#[derive(Clone, Copy)]
enum Filling<'a> {
    Nothing,
    /// What may well succeed, for this room or task.
    Good(&'a str),
    Hostile,
}

fn fill(message: &mut DynamicMessage, filling: Filling<'_>) {
    for field in message.descriptor().fields() {
        if let Some(value) = value(&field, filling) {
            let value = if field.is_list() { Value::List(vec![value]) } else { value };
            message.set_field(&field, value);
        }
    }
}

fn value(field: &FieldDescriptor, filling: Filling<'_>) -> Option<Value> {
    let is_hostile = matches!(filling, Filling::Hostile);
    Some(match (field.kind(), filling) {
        (_, Filling::Nothing) => return None,
        // The last of a oneof counts, and a lifetime has no parts of a second.
        (_, Filling::Good(_)) if ["permanent", "nanos"].contains(&field.name()) => return None,
        (Kind::String, Filling::Hostile) => Value::String("x\r\n\u{1b}[2J\u{2028}{\"a\":1}".repeat(20)),
        (Kind::String, Filling::Good(uuid)) => Value::String(match field.name() {
            "project" | "access_key" | "page_token" | "webhook_endpoint" => return None,
            "resource" | "src" => "https://example.com/slides.pptx".to_owned(),
            "scene_dir" | "scene_path" => "/init".to_owned(),
            "name" => "a-scene".to_owned(),
            "request_id" => "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11".to_owned(),
            _ => uuid.to_owned(),
        }),
        (Kind::Enum(_), _) => Value::EnumNumber(if is_hostile { 99 } else { 1 }),
        (Kind::Int32, _) => Value::I32(if is_hostile { i32::MIN } else { 1 }),
        (Kind::Int64, _) => Value::I64(if is_hostile { i64::MIN } else { 60 }),
        (Kind::Double, _) => Value::F64(if is_hostile { f64::NAN } else { 1.0 }),
        (Kind::Bool, _) => Value::Bool(!is_hostile),
        (Kind::Message(message), _) => {
            let mut inner = DynamicMessage::new(message);
            fill(&mut inner, filling);
            Value::Message(inner)
        }
        _ => return None,
    })
}

/// What a caller was told.
async fn call(client: &Client, method: &MethodDescriptor, filling: Filling<'_>) -> String {
    let mut request = DynamicMessage::new(method.input());
    fill(&mut request, filling);
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut grpc = Grpc::new(client.channel());
    grpc.ready().await.unwrap();
    let mut request = Request::new(request.encode_to_vec());
    request.set_timeout(Duration::from_secs(5));
    let mut told = String::new();
    match grpc.server_streaming(request, path.parse().unwrap(), Raw).await {
        Err(status) => write!(told, "{status:?}").unwrap(),
        Ok(answer) => {
            let mut messages = answer.into_inner();
            loop {
                match messages.message().await {
                    Ok(None) => break,
                    // As text too: what is in a message may be found in neither form alone.
                    Ok(Some(bytes)) => writeln!(told, "{}", String::from_utf8_lossy(&bytes)).unwrap(),
                    Err(status) => {
                        writeln!(told, "{status:?}").unwrap();
                        break;
                    }
                }
            }
        }
    }
    told
}

/// A program whose output goes to files.
struct Program {
    process: Child,
    stdout: PathBuf,
}

impl Program {
    async fn start(output: &Path, name: &str, arguments: &[&str]) -> Self {
        let stdout = output.join(format!("{name}.stdout"));
        let mut command = inkpass(arguments);
        command.stdout(File::create(&stdout).unwrap());
        command.stderr(File::create(output.join(format!("{name}.stderr"))).unwrap());
        let mut program = Self { process: command.stdin(Stdio::null()).spawn().unwrap(), stdout };
        while program.line().is_none() {
            assert!(program.process.try_wait().unwrap().is_none(), "{name} ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        program
    }

    fn line(&self) -> Option<String> {
        let printed = fs::read_to_string(&self.stdout).unwrap();
        printed.split_once('\n').map(|(line, _)| line.to_owned())
    }

    fn part(&self, name: &str) -> String {
        let line = self.line().unwrap();
        let parts = line.split(' ').filter_map(|part| part.split_once('='));
        parts.into_iter().find(|(part, _)| *part == name).unwrap().1.to_owned()
    }

    /// Keeps what the system shows of it to everybody.
    fn keep_surroundings(&self, output: &Path) {
        for file in ["environ", "cmdline", "status"] {
            let path = format!("/proc/{}/{file}", self.process.id());
            fs::write(output.join(format!("{}.{file}", self.process.id())), fs::read(path).unwrap()).unwrap();
        }
    }

    fn end(mut self) {
        std::process::Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

/// Files with a canary as secret key, and the settings that name them.
fn write_files(directory: &Path, upstream: &str, collector: &str, audit: Option<&Path>) -> PathBuf {
    let path = |name: &str| directory.join(name);
    fs::write(path("access"), "an-access-key\n").unwrap();
    for (name, secret) in [("secret", CANARY), ("salt", "a-salt-of-enough-bytes")] {
        fs::write(path(name), secret).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let audit = audit.map_or_else(String::new, |file| {
        format!("[audit]\noutput = '{}'\nsalt_file = '{}'\n", file.display(), path("salt").display())
    });
    let settings = format!(
        "[whiteboard]\nbase_url = '{upstream}'\n{audit}[telemetry]\nlog_level = 'trace'\nsampling_ratio = 1.0\n\
         otlp_endpoint = '{collector}'\n[projects.default]\nregion = 'eu'\n\
         keys = [{{ access_key_file = '{}', secret_key_file = '{}', state = 'active' }}]\n",
        path("access").display(),
        path("secret").display()
    );
    fs::write(path("inkpass.toml"), settings).unwrap();
    path("inkpass.toml")
}

/// Commands that get the secret in places where it has no business.
fn run_mistaken_commands(output: &Path, config: &Path) {
    let astray = output.parent().unwrap().join("astray.toml");
    let settings = fs::read_to_string(config).unwrap();
    let settings =
        settings.replace("state = 'active'", &format!("secret_key = '{CANARY}', state = '{CANARY}'"));
    fs::write(&astray, format!("{settings}\n[{0:?}]\n{0:?} = {0:?}\n", "server")).unwrap();
    let broken = output.parent().unwrap().join("broken.toml");
    fs::write(&broken, format!("[server]\nlisten = \"{CANARY}")).unwrap();
    let (astray, broken, config) =
        (astray.to_str().unwrap(), broken.to_str().unwrap(), config.to_str().unwrap());
    let offline = ["token", "issue", "--kind", "sdk", "--role", "reader", "--ttl", "1h", "--offline"];
    let secret_flag = ["--access-key-file", config, "--secret-key-file", config];
    let commands = [
        vec!["check", "--config", config],
        vec!["check", "--config", astray],
        vec!["check", "--config", broken],
        vec!["serve", "--config", astray],
        [&offline[..], &secret_flag].concat(),
        [&offline[..], &["--secret-key", CANARY]].concat(),
    ];
    for (index, arguments) in commands.iter().enumerate() {
        let run = inkpass(arguments).env("INKPASS_SERVER__LISTEN", CANARY).output().unwrap();
        fs::write(output.join(format!("command-{index}")), [run.stdout, run.stderr].concat()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_key_is_nowhere_after_every_call_and_every_failure() {
    let directory = tempfile::tempdir().unwrap();
    let (output, receiver) = (directory.path().join("output"), Receiver::default());
    fs::create_dir(&output).unwrap();
    let collector = receiver.start().await;
    let config = write_files(directory.path(), "http://127.0.0.1:1", &collector, None);
    let any = "127.0.0.1:0";
    let arguments =
        ["emulator", "--emulator-listen", any, "--waiting", "0s", "--converting", "0s", "--config"];
    let emulator =
        Program::start(&output, "emulator", &[&arguments[..], &[config.to_str().unwrap()]].concat()).await;
    let base_url = format!("http://{}", emulator.part("emulator"));

    let audit = output.join("audit");
    write_files(directory.path(), &base_url, &collector, Some(&audit));
    let arguments = [
        "serve",
        "--insecure-allow-all",
        "--listen",
        any,
        "--admin-listen",
        any,
        "--config",
        config.to_str().unwrap(),
    ];
    let server = Program::start(&output, "serve", &arguments).await;

    let client = Client::connect(&format!("http://{}", server.part("grpc"))).await.unwrap();
    let upstream = Upstream::new(emulator.part("emulator").parse().unwrap());
    let methods: Vec<_> = DescriptorPool::decode(inkpass::proto::DESCRIPTORS)
        .unwrap()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let room = client.rooms().create_room(inkpass::proto::CreateRoomRequest::default()).await.unwrap();
    let room = room.into_inner().room.unwrap().uuid;
    let all =
        async |filling| join_all(methods.iter().map(|method| call(&client, method, filling))).await.concat();

    let mut told = String::new();
    for filling in [Filling::Nothing, Filling::Hostile, Filling::Good(&room)] {
        told += &all(filling).await;
    }
    assert!(told.contains("NETLESSSDK_") || told.contains("NETLESSROOM_"), "some calls do succeed");
    for (kind, status) in [
        ("status", 500),
        ("status", 401),
        ("status", 403),
        ("status", 429),
        ("reset", 0),
        ("truncate", 0),
        ("html", 200),
    ] {
        let mut fault = serde_json::json!({ "path": "/v5", "count": 1000, "kind": kind });
        if status > 0 {
            fault["status"] = status.into();
        }
        upstream.fault(fault).await;
        told += &all(Filling::Good(&room)).await;
        upstream.delete("faults").await;
    }
    fs::write(output.join("told"), told).unwrap();
    fs::write(output.join("requests"), serde_json::to_vec(&upstream.requests().await).unwrap()).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let metrics = http.get(format!("http://{}/metrics", server.part("admin"))).send().await.unwrap();
    fs::write(output.join("metrics"), metrics.bytes().await.unwrap()).unwrap();
    for program in [&server, &emulator] {
        program.keep_surroundings(&output);
    }

    // Not even in memory: a key is worked into its HMAC's state and wiped. That hides it in these ways.
    let memory = read_memory(server.process.id()).unwrap();
    for mask in [0, 0x36, 0x5c] {
        let masked: Vec<_> = CANARY.bytes().map(|byte| byte ^ mask).collect();
        assert!(!contains(&memory, &masked), "the key is in memory, under {mask:#x}");
    }
    assert!(contains(&memory, b"an-access-key"), "the memory was read");

    upstream.delete("faults").await;
    server.end();
    emulator.end();
    fs::write(output.join("traces"), receiver.bytes()).unwrap();
    run_mistaken_commands(&output, &config);

    for file in ["serve.stderr", "audit", "told", "requests", "metrics", "traces", "command-1", "command-5"] {
        assert!(fs::metadata(output.join(file)).unwrap().len() > 0, "{file} is empty");
    }
    assert_eq!(find(&output), [] as [String; 0]);
}

#[test]
fn every_form_of_the_secret_would_be_found() {
    let directory = tempfile::tempdir().unwrap();
    for (index, (_, form)) in forms().into_iter().enumerate() {
        fs::write(directory.path().join(index.to_string()), [b"before ", &*form, b" after"].concat())
            .unwrap();
    }
    let found = find(directory.path());
    for (index, (name, _)) in forms().iter().enumerate() {
        assert!(found.contains(&format!("{}: {name}", directory.path().join(index.to_string()).display())));
    }

    // In the middle of something longer, too.
    let within = tempfile::tempdir().unwrap();
    for before in ["", "a", "ab", "abc"] {
        let text = BASE64_STANDARD.encode(format!("{before}{CANARY}{before}"));
        fs::write(within.path().join("file"), text).unwrap();
        assert_halves_are_found(within.path());
    }
    fs::write(within.path().join("file"), format!("{:?}", CANARY.as_bytes())).unwrap();
    assert_halves_are_found(within.path());
}

#[track_caller]
fn assert_halves_are_found(directory: &Path) {
    let found = find(directory);
    for half in ["first half", "second half"] {
        assert!(found.iter().any(|found| found.contains(half)), "{half}: {found:?}");
    }
}
