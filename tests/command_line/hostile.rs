//! What a hostile token, key or server can do to a terminal, and what a mistyped flag cannot.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{Served, fail, run, text};

#[test]
fn a_token_cannot_print_a_verdict_of_its_own() {
    let dev = Served::dev();
    let query = format!("ak=a&nonce=n&role=0&sig={}&uuid=x%0Avalid%3A%20true%0A%1B%5B2J", "0".repeat(64));
    let forged = format!("NETLESSROOM_{}", BASE64_URL_SAFE_NO_PAD.encode(query));
    let output = run(&["token", "verify", &forged, "--server", &dev.server()]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    let verdicts: Vec<_> = printed.lines().filter(|line| line.starts_with("valid")).collect();
    assert_eq!(verdicts, ["valid: false"], "{printed}");
    assert!(!printed.contains('\u{1b}'));
}

#[test]
fn a_server_that_cannot_be_meant_is_wrong_usage() {
    for server in
        ["https://127.0.0.1:50051/path", "ftp://127.0.0.1", "127.0.0.1:50051", "http://127.0.0.1:1/path", ""]
    {
        let error = fail(64, &["health", "--server", server]);
        assert!(error.contains("http://host:port"), "{server}: {error}");
    }
}

#[test]
fn an_sdk_token_is_not_what_a_uuid_asks_for() {
    for flag in ["--uuid", "--access-key"] {
        let error = fail(64, &["token", "issue", "--kind", "sdk", "--role", "reader", flag, "x"]);
        assert!(error.contains("an SDK token opens everything"), "{error}");
    }
}

#[test]
fn offline_refuses_what_would_outlive_the_calendar() {
    let dev = Served::dev();
    let file = |name: &str| format!("{}/{name}", dev.part("keys"));
    let keys =
        ["--offline", "--access-key-file", &file("access-key"), "--secret-key-file", &file("secret-key")];
    let issue = ["token", "issue", "--kind", "sdk", "--role", "reader", "--ttl", "1000000years"];
    let error = fail(1, &[&issue[..], &keys].concat());
    assert!(error.contains("TTL_ABOVE_MAXIMUM"), "{error}");
}
