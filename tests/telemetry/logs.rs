//! The log of the real program: its lines of calls, what limits them, and what changes while it runs.

use std::fs;

use inkpass::proto::{IssueTokenRequest, Role, token_service_client::TokenServiceClient};
use serde_json::Value;
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{create_a_room, failures};
use crate::{
    decisions::{POLICY, issue, program::Program, room, until},
    helpers::World,
};

const MINT: &str = "inkpass.v1.TokenService/IssueToken";

/// A program with these settings in `[telemetry]`.
async fn start(settings: &str) -> Program {
    Program::start(POLICY, &format!("[telemetry]\n{settings}")).await
}

fn lines(program: &Program) -> Vec<Value> {
    let log = fs::read_to_string(program.path("log")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of calls, and of their sums.
fn calls(program: &Program) -> Vec<Value> {
    let is_call = |line: &Value| line["message"].as_str().is_some_and(|what| what.contains("call"));
    lines(program).into_iter().filter(is_call).filter(|line| line["rpc.method"].is_string()).collect()
}

/// How many calls of a code the log knows of.
fn logged(program: &Program, code: &str) -> u64 {
    let of = calls(program).into_iter().filter(|line| line["rpc.status_code"] == code);
    of.map(|line| line["count"].as_u64().unwrap_or(1)).sum()
}

async fn health(program: &Program, service: &str) -> Result<(), tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(program.channel().await).check(request).await.map(|_| ())
}

#[tokio::test]
async fn a_failed_call_has_a_line_with_its_caller_its_reason_and_its_duration() {
    let program = start("").await;
    issue(&program.client("key:teacher").await, room("r", Role::Writer)).await.unwrap();
    let mut request = Request::new(room("r", Role::Writer));
    let metadata = request.metadata_mut();
    metadata
        .insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".parse().unwrap());
    metadata.insert("x-request-id", "my-id".parse().unwrap());
    let client = program.client("key:ungranted").await;
    client.tokens().issue_token(request).await.unwrap_err();
    health(&program, "").await.unwrap();
    health(&program, "nothing").await.unwrap_err();

    until("the last line", async || logged(&program, "NOT_FOUND") == 1).await;
    let lines = calls(&program);
    let [denied, health] = &lines[..] else { panic!("{lines:#?}") };
    for (name, value) in [
        ("level", "INFO"),
        ("message", "a call ended"),
        ("principal", "key:ungranted"),
        ("rpc.method", MINT),
        ("rpc.status_code", "PERMISSION_DENIED"),
        ("reason", "PROJECT_UNKNOWN"),
        ("peer", "127.0.0.1"),
        ("request_id", "my-id"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
    ] {
        assert_eq!(denied[name], value, "{denied}");
    }
    assert!(
        denied["duration_ms"].as_f64().is_some_and(|millis| millis > 0.0 && millis < 60_000.0),
        "{denied}"
    );
    assert_eq!(health["rpc.method"], "grpc.health.v1.Health/Check");
    assert!(health["principal"].is_null() && health["reason"].is_null(), "{health}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_calls_of_a_caller_have_lines_in_a_second_and_all_are_counted() {
    const CALLS: u64 = 300;
    // Whatever else is logged.
    let program = start("access_log = 'all'\nlog_level = 'error'").await;
    let (teacher, ungranted) = (program.client("key:teacher").await, program.client("key:ungranted").await);
    let mut unknown = unknown(&program).await;
    for _ in 0..CALLS {
        issue(&ungranted, room("r", Role::Writer)).await.unwrap_err();
        let refused = unknown.issue_token(IssueTokenRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    issue(&teacher, room("r", Role::Writer)).await.unwrap();
    health(&program, "").await.unwrap();
    for (code, count) in [("OK", 1), ("PERMISSION_DENIED", CALLS), ("UNAUTHENTICATED", CALLS)] {
        until(code, async || logged(&program, code) == count).await;
    }

    let lines = calls(&program);
    let sums: Vec<_> = lines.iter().filter(|line| line["count"].is_u64()).collect();
    // The clock that lines are counted by, and the one that sums them up, begin at other moments.
    assert!(lines.len() - sums.len() <= 1 + 10 * (sums.len() + 2), "{lines:#?}");
    let of = |principal: Value| sums.iter().find(|sum| sum["principal"] == principal).unwrap();
    for (sum, code, reason) in [
        (of("key:ungranted".into()), "PERMISSION_DENIED", "PROJECT_UNKNOWN"),
        (of(Value::Null), "UNAUTHENTICATED", "CALLER_UNKNOWN"),
    ] {
        assert_eq!(
            (&sum["message"], &sum["rpc.method"]),
            (&"more calls ended in the last second".into(), &MINT.into())
        );
        assert_eq!((&sum["rpc.status_code"], &sum["reason"]), (&code.into(), &reason.into()), "{sum}");
        assert!(sum["since"].is_string() && sum["longest_ms"].is_f64(), "{sum}");
    }
}

#[tokio::test]
async fn without_an_access_log_no_call_has_a_line() {
    let program = start("access_log = 'off'\nlog_level = 'debug'").await;
    issue(&program.client("key:ungranted").await, room("r", Role::Writer)).await.unwrap_err();
    program.signal("TERM");
    until("it stops", async || program.logged("exported") > 0).await;
    assert_eq!(calls(&program), Vec::<Value>::new());
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

async fn unknown(program: &Program) -> TokenServiceClient<Channel> {
    TokenServiceClient::new(program.channel().await)
}

/// The last line whose message has this in it.
fn named(program: &Program, what: &str) -> Value {
    let has = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(what));
    lines(program).into_iter().rfind(has).unwrap_or_else(|| panic!("{what}: {:#?}", lines(program)))
}
