//! How long a call and a connection may last, by a clock that the test moves.

use std::{pin::pin, time::Duration};

use futures_util::future::{FutureExt, join_all};
use inkpass::{
    client::Client,
    proto::{IssueTokenRequest, IssueTokenResponse},
};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::helpers::{
    World, assert_refused,
    clock::TimerClock,
    raw::{Raw, message},
};

/// A unary call whose request never arrives.
async fn unfinished_call(client: &Client, path: &'static str, timeout: Option<Duration>) -> Status {
    let mut request = Request::new(tokio_stream::pending::<IssueTokenRequest>());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let mut grpc = Grpc::new(client.channel());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<IssueTokenRequest, IssueTokenResponse>::default();
    grpc.client_streaming(request, path, codec).await.unwrap_err()
}

#[tokio::test]
async fn a_call_lasts_at_most_20_seconds_with_a_longer_deadline_and_without_one() {
    let world = World::start().await;
    let mut clock = TimerClock::pause();
    let unfinished = [
        ("/inkpass.v1.TokenService/IssueToken", None),
        ("/inkpass.v1.RoomService/CreateRoom", None),
        ("/inkpass.v1.TokenService/IssueToken", Some(Duration::from_mins(1))),
        ("/inkpass.v1.TokenService/IssueToken", Some(Duration::from_hours(1))),
    ];
    let unfinished = unfinished.map(|(path, timeout)| unfinished_call(&world.client, path, timeout));
    let mut calls = pin!(join_all(unfinished));
    let refusals = loop {
        if let Some(refusals) = calls.as_mut().now_or_never() {
            break refusals;
        }
        // By its answer, the server has seen what was sent before it.
        HealthClient::new(world.client.channel()).check(HealthCheckRequest::default()).await.unwrap();
        clock.advance(Duration::from_secs(1)).await;
    };
    for refused in refusals {
        assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
        let details = refused.get_error_details();
        assert!(details.error_info().unwrap().metadata.is_empty(), "nothing can have been done");
    }
    assert!((20..=22).contains(&clock.passed.as_secs()), "{:?}", clock.passed);
}

#[tokio::test]
async fn a_connection_is_asked_to_go_after_5_minutes_give_or_take_a_tenth() {
    let world = World::start().await;
    let mut clock = TimerClock::pause();
    let mut connection = Raw::connect(world.grpc).await;
    connection.whole_call("/grpc.health.v1.Health/Check", &[], &message(0, 0)).await;
    let error = loop {
        if let Some(error) = connection.goaway().await {
            break error;
        }
        assert!(clock.passed < Duration::from_mins(6), "it is never asked to go");
        // Less than a keepalive PING waits for its answer.
        clock.advance(Duration::from_secs(5)).await;
    };
    assert_eq!(error, [0; 4], "NO_ERROR");
    assert!((270..=335).contains(&clock.passed.as_secs()), "{:?}", clock.passed);
}
