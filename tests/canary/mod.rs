//! A secret key that must be nowhere: row 42 of the fault cases. The real programs, with every call
//! of the contract and every failure of the upstream, at the log's finest level.

mod any_call;
mod memory;
mod parties;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use inkpass::client::Client;

use self::any_call::{Filling, call, methods};
use crate::{
    command_line::inkpass,
    helpers::{
        canary::{CANARY, forms, forms_in, look_through_files},
        place::Place,
        upstream::Upstream,
    },
    telemetry::Receiver,
};

/// A program whose output goes to files.
struct Program {
    process: Child,
    stdout: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    async fn start(output: &Path, name: &str, arguments: &[&str]) -> Self {
        Self::start_with(output, name, arguments, &[]).await
    }

    async fn start_with(output: &Path, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let stdout = output.join(format!("{name}.stdout"));
        let mut command = inkpass(arguments);
        command.envs(environment.iter().copied());
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
        "[whiteboard]\nbase_url = '{upstream}'\n{audit}[telemetry]\nlog_level = 'trace'\naccess_log = 'all'\nsampling_ratio = 1.0\n\
         otlp_endpoint = '{collector}'\n[projects.default]\nregion = 'eu'\n\
         keys = [{{ access_key_file = '{}', secret_key_file = '{}', state = 'active' }}]\n",
        path("access").display(),
        path("secret").display()
    );
    fs::write(path("inkpass.toml"), settings).unwrap();
    path("inkpass.toml")
}

/// Checks settings that are right, and keeps what is said of them.
fn check(output: &Path, arguments: &[&str], environment: &[(&str, &str)]) {
    let mut command = inkpass(&[&["check"], arguments].concat());
    let run = command.envs(environment.iter().copied()).output().unwrap();
    fs::write(output, [run.stdout, run.stderr].concat()).unwrap();
    assert!(run.status.success(), "{}", fs::read_to_string(output).unwrap());
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
        vec!["check", "--insecure-allow-all", "--config", config],
        vec!["check", "--config", astray],
        vec!["check", "--config", broken],
        vec!["serve", "--config", astray],
        [&offline[..], &secret_flag].concat(),
        [&offline[..], &["--secret-key", CANARY]].concat(),
    ];
    for (index, arguments) in commands.iter().enumerate() {
        let mut command = inkpass(arguments);
        if index % 2 == 1 {
            command.env("INKPASS_SERVER__LISTEN", CANARY);
        }
        let run = command.output().unwrap();
        fs::write(output.join(format!("command-{index}")), [run.stdout, run.stderr].concat()).unwrap();
    }
    for file in [astray, broken] {
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_key_is_nowhere_after_every_call_and_every_failure() {
    let directory = Place::new();
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
    let methods = methods();
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

    upstream.delete("faults").await;
    server.end();
    emulator.end();
    fs::write(output.join("traces"), receiver.bytes()).unwrap();
    for log in ["serve.stderr", "audit"] {
        assert_lines_are_short_objects(&fs::read(output.join(log)).unwrap());
    }
    let log = fs::read_to_string(output.join("serve.stderr")).unwrap();
    assert!(log.contains("\"message\":\"a call ended\""), "each call is logged");
    assert!(!log.contains("NETLESS"), "a token is in the log");
    run_mistaken_commands(&output, &config);

    for file in [
        "serve.stderr",
        "audit",
        "told",
        "requests",
        "metrics",
        "traces",
        "command-0",
        "command-1",
        "command-5",
    ] {
        assert!(fs::metadata(output.join(file)).unwrap().len() > 0, "{file} is empty");
    }
    look_through_files(&output);
}

/// Row 50 of the fault cases: anything that callers write into their requests.
#[track_caller]
fn assert_lines_are_short_objects(log: &[u8]) {
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let text = str::from_utf8(line).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(text).unwrap().is_object(), "{text}");
        assert!(
            line.len() <= 16 * 1024 && text.trim_end().bytes().all(|byte| (b' '..0x7f).contains(&byte)),
            "{text}"
        );
    }
}

#[test]
fn every_form_of_every_piece_would_be_found() {
    for (name, form) in forms() {
        let text = [b"before ", &*form, b" after"].concat();
        assert!(forms_in(&text).contains(&&*name), "{name}");
    }
    // In the middle of something longer, too.
    for before in ["", "a", "ab", "abc"] {
        assert_every_piece_is_in(&BASE64_STANDARD.encode(format!("{before}{CANARY}{before}")));
    }
    assert_every_piece_is_in(&format!("{:?}", CANARY.as_bytes()));
    assert_every_piece_is_in(&format!("{CANARY:?}"));
}

#[track_caller]
fn assert_every_piece_is_in(text: &str) {
    let found = forms_in(text.as_bytes());
    for piece in ["piece 0", "piece 1", "piece 2"] {
        assert!(found.iter().any(|name| name.starts_with(piece)), "{piece}: {found:?}");
    }
}
