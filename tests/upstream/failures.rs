//! The log of calls that failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, extract::State};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};
use tonic::Code;

use super::{create, read};
use crate::helpers::{ANY_PORT, World, assert_refused, log::Log, scripted::Scripted, until};

fn number_after(line: &str, name: &str) -> u64 {
    let rest = line.split(name).nth(1).unwrap_or_else(|| panic!("{name} in {line}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test]
async fn a_failed_call_has_one_line_that_names_all_that_support_asks_for() {
    let log = Log::start();
    let body = json!({ "error": { "title": "no", "requestId": "jMa0_B_S-wwwJw" } });
    let world = Scripted::new(404, body.to_string()).start().await;
    assert_refused(&read(&world).await.unwrap_err(), Code::NotFound, "ROOM_NOT_FOUND", &[]);
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("an upstream call failed")).collect();
    let [line] = &lines[..] else { panic!("{text}") };
    for part in [
        " INFO ",
        "reason=\"ROOM_NOT_FOUND\"",
        "rpc=\"inkpass.v1.RoomService/GetRoom\"",
        "project=\"default\"",
        "region=\"us-sv\"",
        "access_key=\"active-key\"",
        "http.status=404",
        "upstream.request_id=\"jMa0_B_S-wwwJw\"",
        "attempt=1",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    // An answer about another room is logged in the same way.
    let log = Log::start();
    let world = Scripted::new(200, super::ROOM.replace("r1", "r2")).start().await;
    assert_refused(&read(&world).await.unwrap_err(), Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
    let line = "an upstream call failed reason=\"UPSTREAM_UNEXPECTED_ANSWER\"";
    assert_eq!((log.count("an upstream call failed"), log.count(line)), (1, 1), "{}", log.text());
    // So is an answer of success that tells of a failure, with what support asks for.
    let log = Log::start();
    let body = json!({ "error": { "code": "2010606", "requestId": "jMa0_B_S-wwwJw" } });
    let world = Scripted::new(201, body.to_string()).start().await;
    create(&world).await.unwrap_err();
    let line = "an upstream call failed reason=\"UPSTREAM_FEATURE_DISABLED\"";
    assert_eq!(
        (log.count(line), log.count("upstream.request_id=\"jMa0_B_S-wwwJw\"")),
        (1, 1),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn a_call_that_many_wait_for_has_one_line() {
    let log = Log::start();
    let received = Arc::new(AtomicUsize::new(0));
    let slow = async |State(received): State<Arc<AtomicUsize>>| {
        received.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(300)).await;
        super::ROOM.replace("r1", "r2")
    };
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(slow).with_state(received.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = super::world(address, |settings| settings).await;
    for refused in join_all((0..20).map(|_| read(&world))).await {
        assert_refused(&refused.unwrap_err(), Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
    }
    let lines = log.count("an upstream call failed");
    assert_eq!(lines, received.load(SeqCst), "{}", log.text());
    assert_eq!((log.count("http.status=200"), log.count(" attempt=1 ")), (lines, lines), "{}", log.text());
}

#[tokio::test]
async fn a_call_that_is_held_back_by_a_pause_has_none() {
    let log = Log::start();
    let mut upstream = Scripted::new(429, "");
    upstream.headers.insert("retry-after", "30".parse().unwrap());
    let world = upstream.start().await;
    for _ in 0..3 {
        create(&world).await.unwrap_err();
    }
    assert_eq!((upstream.count(), log.count("an upstream call failed")), (1, 1), "{}", log.text());
}

#[tokio::test]
async fn a_flood_of_failures_is_summed_up_and_none_is_left_uncounted() {
    const CALLS: usize = 300;
    let log = Log::start();
    let world: World = Scripted::new(404, "").start().await;
    for _ in 0..CALLS {
        read(&world).await.unwrap_err();
    }
    // Whatever is left of the last second is counted at its end.
    let told = || {
        let text = log.text();
        let sums = text.lines().filter(|line| line.contains("more upstream calls failed"));
        let counted: u64 = sums.map(|line| number_after(line, "count=")).sum();
        log.count("an upstream call failed") + usize::try_from(counted).unwrap()
    };
    until(async || told() == CALLS).await;
    let sums = log.count("more upstream calls failed");
    assert!(sums > 0 && log.text().contains("reasons=\"ROOM_NOT_FOUND "), "{}", log.text());
    assert_eq!(log.count(" WARN "), 0, "a sum is of its failures' level: {}", log.text());
    // Five lines of each second that has a sum, and of one that may have none.
    assert!(log.count("an upstream call failed") <= 5 * (sums + 2), "{}", log.text());
}

#[tokio::test]
async fn fields_that_cannot_be_read_again_are_summed_up_though_they_are_not_met_any_more() {
    let log = Log::start();
    let world = Scripted::new(201, r#"{"uuid":"r1","limit":[],"isBan":"x"}"#).start().await;
    for _ in 0..10 {
        create(&world).await.unwrap();
    }
    let told = || {
        let text = log.text();
        let lines = text.lines().filter(|line| line.contains("CreateRoom\" fields=\"isBan"));
        lines
            .map(|line| if line.contains("isBan (") { number_after(line, "isBan (") } else { 1 })
            .sum::<u64>()
    };
    until(async || told() == 10).await;
    let sum = "more fields of upstream answers could not be read in the last second";
    assert!((1..10).contains(&log.count(sum)), "{}", log.text());
    assert_eq!(log.count(" times), limit ("), log.count(sum), "each line names both: {}", log.text());
}

#[tokio::test]
async fn each_field_that_cannot_be_read_is_named_one_answer_after_the_other() {
    let log = Log::start();
    let upstream = Scripted::new(201, "");
    let world = upstream.start().await;
    for (body, field) in [
        (r#"{"uuid":"r1","limit":1e999}"#, "limit"),
        (r#"{"uuid":"r1","isBan":NaN}"#, "isBan"),
        (r#"{"uuid":"../x y"}"#, "uuid"),
    ] {
        *upstream.body.lock().unwrap() = body.into();
        assert_eq!(create(&world).await.is_ok(), field != "uuid", "{body}");
        let named = format!(
            "fields of an upstream answer cannot be read rpc=\"inkpass.v1.RoomService/CreateRoom\" fields=\"{field}\""
        );
        assert_eq!(log.count(&named), 1, "{}", log.text());
    }
}
