//! The log of the real program: its form, its lines about start, stop and reload, and what changes while it runs.

use std::{
    fs,
    process::{Command, Stdio},
};

use inkpass::proto::{CreateRoomRequest, IssueTokenRequest, Role, token_service_client::TokenServiceClient};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::{create_a_room, failures, serve};
use crate::{
    command_line::{output_of, program},
    decisions::{
        POLICY, issue,
        program::{Files, Program},
        room, until,
    },
    helpers::{World, log::whole_lines, place::Place, skipped},
};

/// A program with these settings in `[telemetry]`.
pub(super) async fn start(settings: &str) -> Program {
    Program::start(POLICY, &format!("[telemetry]\n{settings}")).await
}

fn lines(program: &Program) -> Vec<Value> {
    let log = whole_lines(&program.path("log"));
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of calls, and of their sums.
pub(super) fn calls(program: &Program) -> Vec<Value> {
    let is_call = |line: &Value| line["message"].as_str().is_some_and(|what| what.contains("call"));
    lines(program).into_iter().filter(is_call).filter(|line| line["rpc.method"].is_string()).collect()
}

/// How many calls of a code the log knows of.
pub(super) fn logged(program: &Program, code: &str) -> u64 {
    let of = calls(program).into_iter().filter(|line| line["rpc.status_code"] == code);
    of.map(|line| line["count"].as_u64().unwrap_or(1)).sum()
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
async fn what_is_logged_changes_with_the_settings_and_wrong_ones_change_nothing() {
    let program = start("").await;
    let at_start = fs::read_to_string(program.path("inkpass.toml")).unwrap();
    let write = |telemetry: &str| {
        let settings = at_start.replace("[telemetry]\n", &format!("[telemetry]\n{telemetry}\n"));
        fs::write(program.path("new"), settings).unwrap();
        fs::rename(program.path("new"), program.path("inkpass.toml")).unwrap();
    };
    let (teacher, mut unknown) = (program.client("key:teacher").await, unknown(&program).await);
    // One that succeeds, and one whose cause is a line at debug.
    let mut call = async || {
        issue(&teacher, room("r", Role::Writer)).await.unwrap();
        unknown.issue_token(IssueTokenRequest::default()).await.unwrap_err();
    };
    let causes = || program.logged("a caller was not authenticated");

    call().await;
    write("access_log = 'all'\nlog_level = 'debug'\nsampling_ratio = 0.5");
    until("all is logged", async || program.logged("changed files are in use") == 1).await;
    call().await;
    until("two failures and a success", async || logged(&program, "UNAUTHENTICATED") == 2).await;
    until("a success", async || logged(&program, "OK") == 1).await;
    assert_eq!(causes(), 1);
    let told = named(&program, "changed files are in use");
    assert_eq!(
        (&told["what"], &told["in_use"]),
        (&"settings".into(), &"log_level debug, access_log all".into())
    );
    let waiting = named(&program, "they take effect at the next start");
    assert_eq!(
        (&waiting["level"], &waiting["settings"]),
        (&"WARN".into(), &"telemetry.sampling_ratio".into())
    );

    write("access_log = 'some'");
    until("it is refused", async || program.logged("files cannot be used") == 1).await;
    let refused = named(&program, "files cannot be used")["mistakes"].to_string();
    assert!(refused.contains("telemetry.access_log: must be one of off, errors, all"), "{refused}");
    call().await;
    until("as before", async || logged(&program, "OK") == 2 && causes() == 2).await;

    write("");
    until("as at the start", async || {
        program.logged("in use again, after files that could not be used") == 1
    })
    .await;
    assert_eq!(program.logged("no setting waits for the next start any more"), 1);
    call().await;
    until("failures alone", async || logged(&program, "UNAUTHENTICATED") == 4).await;
    assert_eq!((logged(&program, "OK"), causes()), (2, 2));
}

pub(super) async fn unknown(program: &Program) -> TokenServiceClient<Channel> {
    TokenServiceClient::new(program.channel().await)
}

/// The last line whose message has this in it.
fn named(program: &Program, what: &str) -> Value {
    let has = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(what));
    lines(program).into_iter().rfind(has).unwrap_or_else(|| panic!("{what}: {:#?}", lines(program)))
}

#[tokio::test]
async fn start_and_stop_are_told_step_by_step() {
    let (program, upstream) = Program::with_upstream(POLICY).await;
    let slow = json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 1000 });
    upstream.fault(slow).await;
    let teacher = program.client("key:teacher").await;
    let call = tokio::spawn(async move { teacher.rooms().create_room(CreateRoomRequest::default()).await });
    until("it is under way", async || !upstream.requests().await.is_empty()).await;
    program.signal("TERM");
    until("it stops", async || program.logged("the process ends") > 0).await;
    call.await.unwrap().unwrap();

    let told = lines(&program);
    let mut rest = told.iter();
    for (what, fields) in [
        (
            "starting",
            json!({ "projects": "default", "grants": 2, "tls": false, "store": false, "level": "INFO" }),
        ),
        ("files are in use", json!({ "what": "api_keys", "in_use": "3 API keys" })),
        ("files are in use", json!({ "what": "policy", "in_use": "2 grants" })),
        ("files are in use", json!({ "what": "keys", "in_use": "default: first-key active" })),
        ("files are in use", json!({ "what": "settings", "in_use": "log_level info, access_log errors" })),
        ("serving", json!({ "grpc": program.part("grpc"), "admin": program.part("admin") })),
        ("a signal asks to stop", json!({ "signal": "SIGTERM" })),
        ("not ready any more", json!({ "watches": 0 })),
        ("draining", json!({ "calls": 1, "connections": 1, "longest_ms": 15000.0 })),
        ("drained", json!({})),
        ("every connection is closed", json!({})),
        ("the audit trail is closed", json!({})),
        ("the process ends", json!({})),
    ] {
        let has = |line: &&Value| line["message"].as_str().is_some_and(|message| message.contains(what));
        let line = rest.find(has).unwrap_or_else(|| panic!("{what}: {told:#?}"));
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&line[name], value, "{line}");
        }
    }
}

#[tokio::test]
async fn a_reload_is_told_with_what_is_in_use_now() {
    let program = start("").await;
    let reloaded = |what: &str, in_use: &str| {
        let is_it = |line: &Value| {
            (&line["message"], &line["what"], &line["in_use"])
                == (&"changed files are in use".into(), &what.into(), &in_use.into())
        };
        lines(&program).iter().any(is_it)
    };
    program.mount("..2", &[Files::of("second-key")]);
    until("keys", async || reloaded("keys", "default: second-key active")).await;
    let keys = named(&program, "the project's new keys are in use");
    assert_eq!(
        (&keys["keys"], &keys["before"]),
        (&"default: second-key active".into(), &"default: first-key active".into())
    );

    let (path, new) = (program.path("policy/policy.toml"), program.path("policy/new"));
    fs::write(&new, format!("{POLICY}{}", POLICY.replace("classroom", "a").replace("\"verifier\"", "\"b\"")))
        .unwrap();
    fs::rename(&new, &path).unwrap();
    until("the policy", async || reloaded("policy", "4 grants")).await;
    fs::remove_file(&path).unwrap();
    until("it is gone", async || program.logged("files cannot be used") == 1).await;
    fs::write(&path, POLICY).unwrap();
    until("it is back", async || program.logged("in use again, after files that could not be used") == 1)
        .await;
}

#[tokio::test]
async fn the_log_is_text_at_a_terminal_and_json_elsewhere_unless_the_settings_say_which() {
    let (world, place) = (World::on_the_system_s_clock().await, Place::new());
    drop(serve(&world, place.path(), ""));
    // Its address is taken, so it logs that it starts, and ends.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = place.join("inkpass.toml");
    let listen = taken.local_addr().unwrap().to_string();
    let arguments =
        ["serve", "--insecure-allow-all", "--listen", &listen, "--config", config.to_str().unwrap()];
    let run = |mut command: Command, format: &str| {
        // An empty variable would be a wrong format.
        let command =
            command.envs(Some(("INKPASS_TELEMETRY__LOG_FORMAT", format)).filter(|_| !format.is_empty()));
        let output = output_of(command);
        [output.stdout, output.stderr].concat()
    };
    let log = |format| {
        let mut command = Command::new(program());
        command.args(arguments);
        String::from_utf8(run(command, format)).unwrap()
    };
    assert!(log("").starts_with("{\"timestamp\":\"20"), "{}", log(""));
    assert!(log("").contains("\"level\":\"INFO\",\"message\":\"starting\",\"version\":\""));
    assert!(log("text").contains("Z  INFO starting version="), "{}", log("text"));
    assert!(!log("text").contains('\u{1b}'));

    if !skipped::succeeds("script", &["--version"]) {
        return;
    }
    let at_a_terminal = |format| {
        let mut command = Command::new("script");
        let line = format!("{} {}", program().display(), arguments.join(" "));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
        String::from_utf8(run(command, format)).unwrap()
    };
    let text = at_a_terminal("");
    assert!(text.contains("\u{1b}[32m INFO\u{1b}[0m starting version="), "{text}");
    let json = at_a_terminal("json");
    assert!(json.starts_with("{\"timestamp\":\"20"), "{json}");
}
