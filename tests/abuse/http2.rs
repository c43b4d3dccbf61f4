//! What HTTP/2 lets a client do to a server: fault cases 6, 8 to 13 and 18. The limits are hyper's and h2's; the test is
//! that they are set.

use std::{net::SocketAddr, time::Duration};

use inkpass::proto::Role;
use tokio::time::timeout;

use crate::{
    decisions::{POLICY, issue, program::Program, room},
    helpers::{
        World,
        raw::{Raw, frame, message, reset},
    },
};

type Piece = fn(&mut Raw) -> Vec<u8>;

const HEALTH: &str = "/grpc.health.v1.Health/Check";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

/// Sends pieces until the connection goes away; gives how many were sent, and the error code.
async fn until_it_goes_away(
    server: SocketAddr,
    most: usize,
    mut piece: impl FnMut(&mut Raw) -> Vec<u8>,
) -> (usize, Option<[u8; 4]>) {
    let mut raw = Raw::connect(server).await;
    let mut goes_away = None;
    let mut sent = 0;
    while sent < most {
        let bytes = piece(&mut raw);
        raw.send(&[bytes, frame(6, 0, 0, &[0; 8])].concat()).await;
        sent += 1;
        let answered = loop {
            let Some(next) = raw.next_frame().await else { break false };
            goes_away = goes_away.or(next.goes_away());
            if next.answers_a_ping() {
                break true;
            }
        };
        if goes_away.is_some() || !answered {
            break;
        }
    }
    (sent, goes_away)
}

async fn serves(world: &World) {
    issue(&world.client, room("abuse", Role::Writer)).await.unwrap();
}

#[tokio::test]
async fn a_burst_of_resets_ends_the_connection() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    let mut burst = Vec::new();
    for _ in 0..200 {
        let (stream, headers) = raw.headers(HEALTH, &[]);
        burst.extend([headers, reset(stream)].concat());
    }
    raw.send(&burst).await;
    assert_eq!(raw.goaway_at_close().await, Some(ENHANCE_YOUR_CALM));
    serves(&world).await;
}

#[tokio::test]
async fn a_client_that_makes_the_server_reset_its_streams_is_sent_away() {
    let world = World::start().await;
    let overflow: Piece = |raw| {
        let (stream, headers) = raw.headers(HEALTH, &[]);
        [headers, frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())].concat()
    };
    let lie: Piece = |raw| {
        let (stream, headers) = raw.headers(HEALTH, &[("content-length", "1")]);
        [headers, frame(DATA, END_STREAM, stream, &message(0, 0))].concat()
    };
    for (name, piece) in [("a window that overflows", overflow), ("a length that lies", lie)] {
        let (sent, goes_away) = until_it_goes_away(world.grpc, 1200, piece).await;
        assert!(sent <= 1026 && goes_away == Some(ENHANCE_YOUR_CALM), "{name}: {sent} {goes_away:?}");
    }
    serves(&world).await;
}

#[tokio::test]
async fn more_than_128_streams_are_refused() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    for _ in 0..600 {
        raw.call("/inkpass.v1.TokenService/IssueToken", &[], &message(100, 0)).await;
    }
    let mut refused = 0;
    while refused < 600 - 128 {
        let next = raw.next_frame().await.expect("the connection stays open");
        refused += usize::from(next.resets_with() == Some(REFUSED_STREAM));
    }
    assert!(raw.ping().await);
    serves(&world).await;
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let world = World::start().await;
    for size in [0, 1024] {
        let mut is_first = true;
        let (sent, _) = until_it_goes_away(world.grpc, 100, |raw| {
            // Neither may stand between them, so no PING is answered.
            let mut bytes = Vec::new();
            if is_first {
                let (stream, _) = raw.headers(HEALTH, &[]);
                bytes = frame(HEADERS, 0, stream, &[]);
                bytes.extend(frame(CONTINUATION, 0, stream, &vec![0; size]).repeat(40));
            }
            is_first = false;
            bytes
        })
        .await;
        assert_eq!(sent, 1, "{size}");
    }
    serves(&world).await;
}

#[tokio::test]
async fn long_headers_are_refused_and_longer_ones_end_the_connection() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    let long = "x".repeat(9 * 1024);
    raw.whole_call(HEALTH, &[("long", &long)], &message(0, 0)).await;
    raw.until_ended(1).await;
    assert!(raw.ping().await, "one call is refused, and not the connection");
    // In frames as long as they may be.
    let (stream, headers) = raw.headers(HEALTH, &[("long", &"x".repeat(70 * 1024))]);
    let mut pieces = headers[9..].chunks(16 * 1024).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { 4 } else { 0 };
        raw.send(&frame(kind, flags, stream, piece)).await;
        kind = CONTINUATION;
    }
    assert!(raw.closes_within(Duration::from_secs(5)).await.is_some());
    serves(&world).await;
}

#[tokio::test]
async fn calls_that_are_refused_for_their_headers_leave_no_trace_on_their_connection() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    // One stays open meanwhile.
    raw.call(HEALTH, &[], &message(100, 0)).await;
    let long = "x".repeat(9 * 1024);
    for call in 0..60 {
        raw.whole_call(HEALTH, &[("long", &long)], &message(0, 0)).await;
        let answered = timeout(Duration::from_secs(5), raw.until_ended(1)).await;
        assert!(answered.is_ok(), "{call}: it is not read any more");
    }
    assert!(raw.ping().await);
}

#[tokio::test]
async fn empty_frames_without_an_end_are_too_many() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    let stream = raw.call("/inkpass.v1.TokenService/IssueToken", &[], &message(100, 0)).await;
    raw.send(&frame(DATA, 0, stream, &[]).repeat(200)).await;
    assert_eq!(raw.goaway_at_close().await, Some(ENHANCE_YOUR_CALM));
    serves(&world).await;
}

#[tokio::test]
async fn a_million_frames_that_ask_for_nothing_end_their_connection_and_cost_next_to_nothing() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    let address: SocketAddr = program.part("grpc").parse().unwrap();
    let memory = program.status("VmRSS:");
    let kinds: [(u8, &[u8]); 4] =
        [(6, &[0; 8]), (4, &[]), (2, &[0, 0, 0, 1, 0]), (WINDOW_UPDATE, &[0, 0, 0, 1])];
    for (kind, payload) in kinds {
        let mut raw = Raw::connect(address).await;
        let stream = u32::from(kind == 2);
        let flood = frame(kind, 0, stream, payload).repeat(1000);
        let spent = program.cpu_ticks();
        // What comes back is not read meanwhile.
        let flooding = async {
            for _ in 0..1000 {
                raw.send(&flood).await;
            }
        };
        let flooded = timeout(Duration::from_secs(10), flooding).await;
        assert!(flooded.is_ok(), "{kind}: it is not closed");
        assert!(raw.closes_within(Duration::from_secs(5)).await.is_some(), "{kind}");
        issue(&teacher, room("abuse", Role::Writer)).await.unwrap();
        // Of 10 ms: a tenth of a core for two seconds.
        let spent = program.cpu_ticks() - spent;
        assert!(spent < 20, "{kind}: {spent} ticks");
    }
    let grown = program.status("VmRSS:").saturating_sub(memory);
    assert!(grown < 4 * 1024, "{grown} KiB");
}
