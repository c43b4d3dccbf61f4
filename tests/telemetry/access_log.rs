//! The lines of calls in the real program's log, and what limits them.

use inkpass::proto::{IssueTokenRequest, Role};
use serde_json::Value;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::logs::{calls, logged, start, unknown};
use crate::decisions::{issue, program::Program, room, until};

const MINT: &str = "inkpass.v1.TokenService/IssueToken";

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
    until("it stops", async || program.logged("the process ends") > 0).await;
    assert_eq!(calls(&program), Vec::<Value>::new());
}
