//! Answers that are none: rows 26 and 30 of the fault cases.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use inkpass::proto::IssueTokenRequest;
use tonic::Code;

use super::{
    create, create_within,
    peer::{Answer, Peer},
    read, world,
};
use crate::helpers::{assert_refused, until};

const MIB: usize = 1024 * 1024;

/// How much may be on its way in the sockets' buffers.
const ON_ITS_WAY: usize = 16 * MIB;

/// A room, in gzip: what a bomb would be. Nobody asked for gzip, so it is not unpacked.
const GZIP: Answer = Answer::Text(
    b"HTTP/1.1 201 Created\r\ncontent-encoding: gzip\r\nconnection: close\r\ncontent-length: 33\r\n\r\n\
      \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x2d\xcd\x4c\x51\xb2\x52\x2a\x32\x54\xaa\x05\x00\x1a\x35\x6c\xb6\x0d\x00\x00\x00",
);

const HTML: Answer =
    Answer::Text(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 19\r\n\r\n<html>secret</html>");
const NO_JSON: Answer = Answer::Text(
    b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{\"uuid\":,\"r1\",",
);
const REDIRECT: Answer = Answer::Text(
    b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
);
const BAD_CHUNK: Answer =
    Answer::Text(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nsecret\r\n0\r\n\r\n");
const NO_HTTP: Answer = Answer::Text(b"secret, secret, secret\r\n\r\n");
const ENDLESS_HEADERS: Answer = Answer::Endless("HTTP/1.1 201 Created\r\n", "x-secret: aaaaaaaaaaaaaaaa\r\n");
const ENDLESS_HEADER: Answer =
    Answer::Endless("HTTP/1.1 201 Created\r\nx-secret: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa");

#[tokio::test]
async fn a_post_is_sent_once_and_a_read_is_internal_whatever_nonsense_is_answered() {
    let chunk = format!("10000\r\n{}\r\n", ".".repeat(0x10000)).leak();
    let endless_body = Answer::Endless("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n", chunk);
    let headers = [ENDLESS_HEADERS, ENDLESS_HEADER];
    for answer in [HTML, NO_JSON, GZIP, REDIRECT, BAD_CHUNK, NO_HTTP, endless_body].into_iter().chain(headers)
    {
        let peer = Peer::start(answer).await;
        let world = world(peer.address, |settings| settings).await;
        let began = Instant::now();
        let created = create(&world).await.unwrap_err();
        assert_refused(&created, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert_eq!(peer.requests(), 1, "{answer:?}");
        let read = read(&world).await.unwrap_err();
        assert_refused(&read, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
        assert_eq!(peer.requests(), 2, "{answer:?}");
        for refused in [created, read] {
            assert!(!format!("{refused:?}").contains("secret"), "{answer:?}: {refused:?}");
        }
        assert!(peer.written() < ON_ITS_WAY, "{answer:?}: {}", peer.written());
        assert!(began.elapsed() < Duration::from_secs(14), "{answer:?}: it ends before its time is over");
    }
}

#[tokio::test]
async fn a_post_is_sent_once_and_a_read_is_unavailable_where_the_connection_breaks() {
    const HALF: Answer =
        Answer::Text(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n{\"uuid\":\"r1\"");
    const AFTER_A_100: Answer = Answer::Text(b"HTTP/1.1 100 Continue\r\n\r\n");
    for answer in [Answer::Close, Answer::Reset, HALF, AFTER_A_100] {
        let peer = Peer::start(answer).await;
        let world = world(peer.address, |settings| settings).await;
        let refused = create(&world).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert_eq!(peer.requests(), 1, "{answer:?}");
        assert_refused(&read(&world).await.unwrap_err(), Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    }
}

#[tokio::test]
async fn what_never_ends_is_given_up_after_14_seconds_and_not_sent_again() {
    const SILENCE: Answer = Answer::Slow("HTTP/1.1 201 Created\r\n", "");
    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: secret\r\n\r\n";
    const ENDLESS_100: Answer = Answer::Slow("", HINT);
    const FLOOD_OF_100: Answer = Answer::Endless("", HINT);
    const A_BYTE_AT_A_TIME: Answer =
        Answer::Slow("HTTP/1.1 201 Created\r\ncontent-length: 1000000\r\n\r\n", " ");
    let (slow, flood) = (MIB, usize::MAX);
    let answers = [(ENDLESS_100, slow), (FLOOD_OF_100, flood), (A_BYTE_AT_A_TIME, slow), (SILENCE, slow)];
    let ends = answers.map(async |(answer, most_written)| {
        let peer = Peer::start(answer).await;
        let world = world(peer.address, |settings| settings).await;
        let began = Instant::now();
        let created = create(&world).await.unwrap_err();
        assert_refused(&created, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert!((13..20).contains(&began.elapsed().as_secs()), "{answer:?}: {:?}", began.elapsed());
        assert_eq!(peer.requests(), 1, "{answer:?}");
        assert!(peer.written() < most_written);
        let began = Instant::now();
        create_within(&world, 200).await.unwrap_err();
        assert!(
            began.elapsed().as_secs() < 10,
            "a caller waits no longer than it wants: {:?}",
            began.elapsed()
        );
    });
    join_all(ends).await;
}

/// A turn of the HTTP client takes as much of it as there is, so its thread is none of those that calls need.
#[tokio::test]
async fn a_flood_of_1xx_delays_no_other_call() {
    let peer = Peer::flood_of_1xx().await;
    let world = world(peer.address, |settings| settings).await;
    let began = Instant::now();
    let (created, ()) = tokio::join!(create_within(&world, 4000), async {
        until(async || peer.written() > 0).await;
        for _ in 0..10 {
            let issue = IssueTokenRequest::default();
            world.client.tokens().issue_token(issue).await.unwrap_err();
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    });
    created.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "a caller waits no longer: {:?}", began.elapsed());
}
