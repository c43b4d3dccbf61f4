//! The metrics that a scrape gives.

use crate::helpers::World;

#[tokio::test]
async fn metrics_count_every_call_by_its_code_and_reason() {
    let world = World::start().await;
    for _ in 0..3 {
        let _ = world.client.tokens().issue_token(inkpass::proto::IssueTokenRequest::default()).await;
    }
    world.client.rooms().create_room(inkpass::proto::CreateRoomRequest::default()).await.unwrap();
    let line = |method: &str, code: &str, reason: &str, count: u32| {
        let labels =
            format!("reason=\"{reason}\",rpc_method=\"inkpass.v1.{method}\",rpc_status_code=\"{code}\"");
        format!("inkpass_calls_total{{{labels}}} {count}\n")
    };
    // A call has ended for its caller a moment before it is counted.
    let wanted = [
        line("TokenService/IssueToken", "INVALID_ARGUMENT", "INVALID_REQUEST", 3),
        line("RoomService/CreateRoom", "OK", "", 1),
    ];
    let mut text = world.metrics().await;
    while !wanted.iter().all(|line| text.contains(line)) {
        tokio::task::yield_now().await;
        text = world.metrics().await;
    }
    assert!(text.contains("inkpass_build_info{version=\""), "{text}");
    assert!(text.contains(
        "rpc_server_call_duration_seconds_count{rpc_method=\"inkpass.v1.TokenService/IssueToken\"} 3\n"
    ));
}
