//! The log of calls that failed.

use serde_json::json;
use tonic::Code;

use super::read;
use crate::helpers::{World, assert_refused, log::Log, scripted::Scripted, until};

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
        "reason=\"not_found\"",
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
    assert_eq!((log.count("an upstream call failed"), log.count("reason=\"unexpected_answer\"")), (1, 1));
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
    assert!(sums > 0 && log.text().contains("reasons=\"not_found "), "{}", log.text());
    // Five lines of each second that has a sum, and of one that may have none.
    assert!(log.count("an upstream call failed") <= 5 * (sums + 2), "{}", log.text());
}
