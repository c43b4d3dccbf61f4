//! Messages that never end, streams without an end, and answers that nobody takes, held against the memory of a process:
//! fault cases 9, 14, 51 and 52.

use std::{fs, net::SocketAddr, time::Duration};

use inkpass::proto::{Role, VerifyTokenRequest};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    decisions::{POLICY, issue, program::Program, room, until},
    helpers::raw::{Raw, message, whole},
};

const KIB: usize = 1024;

/// The process's resident memory, in bytes.
fn resident(program: &Program) -> usize {
    program.status("VmRSS:") as usize * KIB
}

fn address(program: &Program) -> SocketAddr {
    program.part("grpc").parse().unwrap()
}

#[tokio::test]
async fn half_sent_messages_of_unauthenticated_callers_hold_next_to_nothing() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    let before = resident(&program);
    let mut raw = Raw::connect(address(&program)).await;
    for path in ["/grpc.health.v1.Health/Check", "/inkpass.v1.TokenService/IssueToken"] {
        for _ in 0..64 {
            raw.call(path, &[], &message(4 * KIB * KIB, KIB)).await;
        }
    }
    // Each is refused, because it is too long, because there are too many, or because nobody is known.
    raw.until_ended(128).await;
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 16 * KIB * KIB, "{grown}");
    issue(&teacher, room("abuse", Role::Writer)).await.unwrap();
}

#[tokio::test]
async fn half_sent_messages_of_a_caller_are_bounded_and_others_are_served() {
    let program = Program::start(POLICY, "").await;
    let verifier = program.client("key:verifier").await;
    let key = fs::read_to_string(program.path("key:teacher")).unwrap();
    let key = [("x-api-key", key.trim())];
    let before = resident(&program);
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::connect(address(&program)).await;
        for _ in 0..100 {
            raw.call("/inkpass.v1.TokenService/IssueToken", &key, &message(16 * KIB, 4 * KIB)).await;
        }
        for _ in 0..20 {
            raw.call("/inkpass.v1.TokenService/BatchIssueTokens", &key, &message(512 * KIB, 15 * KIB)).await;
        }
        assert!(raw.ping().await);
        connections.push(raw);
    }
    // One that is too long by a byte is refused before it comes.
    let mut raw = Raw::connect(address(&program)).await;
    raw.call("/inkpass.v1.TokenService/IssueToken", &key, &message(16 * KIB + 1, 0)).await;
    tokio::time::timeout(Duration::from_secs(5), raw.until_ended(1)).await.expect("it is refused");
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 64 * KIB * KIB, "{grown}");
    let request = VerifyTokenRequest { token: "x".repeat(8000), ..Default::default() };
    verifier.tokens().verify_token(request).await.unwrap();
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_next_to_nothing() {
    let program = Program::start(POLICY, "").await;
    let key = fs::read_to_string(program.path("key:teacher")).unwrap();
    let request = whole(&room("abuse", Role::Writer));
    let (mut connections, mut before) = (Vec::new(), 0);
    for number in 1..=6 {
        // No window for any answer.
        let mut raw = Raw::with_settings(address(&program), &[(4, 0)]).await;
        for _ in 0..128 {
            raw.whole_call("/inkpass.v1.TokenService/IssueToken", &[("x-api-key", key.trim())], &request)
                .await;
        }
        let answered = || crate::audit::read_so_far(&program.path("audit.log")).len();
        until("all are answered", async || answered() == number * 128).await;
        connections.push(raw);
        // What the first one takes is there for all.
        before = if number == 1 { resident(&program) } else { before };
    }
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 8 * KIB * KIB, "{grown} for 640 answers");
}

#[tokio::test]
async fn of_five_thousand_streams_128_are_taken_and_the_others_hold_nothing() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    let key = fs::read_to_string(program.path("key:teacher")).unwrap();
    let key = [("x-api-key", key.trim())];
    let mut raw = Raw::connect(address(&program)).await;
    raw.whole_call("/inkpass.v1.TokenService/IssueToken", &key, &message(0, 0)).await;
    raw.until_ended(1).await;
    let before = resident(&program);
    for _ in 0..5000 {
        raw.call("/inkpass.v1.TokenService/IssueToken", &key, &message(100, 0)).await;
    }
    let (mut refused, mut goes_away) = (0, None);
    while refused < 5000 - 128 && goes_away.is_none() {
        let Some(next) = raw.next_frame().await else { break };
        goes_away = next.goes_away();
        match next.resets_with() {
            // REFUSED_STREAM.
            Some(7) => refused += 1,
            // STREAM_CLOSED: its message came when h2 had forgotten the stream.
            None | Some(5) => {}
            other => panic!("{other:?}"),
        }
    }
    // For h2 each is a reset of the server's own making, of which a connection has some hundreds.
    assert!(refused >= 500 && goes_away.is_none_or(|code| code == [0, 0, 0, 11]), "{refused} {goes_away:?}");
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 5 * KIB * KIB, "{grown}");
    issue(&teacher, room("abuse", Role::Writer)).await.unwrap();
}

#[tokio::test]
async fn a_message_of_many_empty_elements_is_not_decoded() {
    let program = Program::start(POLICY, "").await;
    let key = fs::read_to_string(program.path("key:teacher")).unwrap();
    let http = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let elements = [0x0a, 0].repeat(250_000);
    let before = resident(&program);
    for _ in 0..4 {
        let mut body = message(elements.len(), 0);
        body.extend(&elements);
        let call = http
            .post(format!("http://{}/inkpass.v1.TokenService/BatchIssueTokens", address(&program)))
            .header("content-type", "application/grpc")
            .header("x-api-key", key.trim())
            .body(body);
        assert_eq!(call.send().await.unwrap().headers()["grpc-status"], "3");
    }
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 16 * KIB * KIB, "{grown}");
}

#[tokio::test]
async fn a_packet_of_many_calls_that_nobody_authenticates_holds_next_to_nothing() {
    let program = Program::start(POLICY, "").await;
    let mut connections = Vec::new();
    for _ in 0..200 {
        connections.push(Raw::connect(address(&program)).await);
    }
    let before = program.status("VmHWM:");
    for raw in &mut connections {
        let calls = raw.short_calls("/inkpass.v1.TokenService/IssueToken", &[("x-api-key", "ik_junk")], 128);
        raw.send(&calls).await;
    }
    for raw in &mut connections {
        raw.until_ended(128).await;
    }
    let grown = program.status("VmHWM:").saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn headers_of_half_sent_health_checks_are_not_kept() {
    let program = Program::start(POLICY, "").await;
    let before = resident(&program);
    let names: Vec<_> = (0..200).map(|index| format!("x{index}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "")).collect();
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(address(&program)).await;
        for _ in 0..8 {
            raw.call("/grpc.health.v1.Health/Check", &many, &message(100, 10)).await;
        }
        assert!(raw.ping().await);
        connections.push(raw);
    }
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 28 * KIB * KIB, "{grown}");
}

#[tokio::test]
async fn a_connection_of_watches_still_has_its_checks() {
    let program = Program::start(POLICY, "").await;
    let http = HealthClient::new(program.channel().await);
    let mut watches = Vec::new();
    for _ in 0..8 {
        watches.push(http.clone().watch(HealthCheckRequest::default()).await.unwrap());
    }
    let refused = http.clone().watch(HealthCheckRequest::default()).await.unwrap_err();
    assert!(refused.message().contains("health and reflection on a connection"), "{refused:?}");
    http.clone().check(HealthCheckRequest::default()).await.unwrap();
}
