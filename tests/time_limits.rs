//! How long a call and a connection may last, by a clock that the test moves.

use std::{net::SocketAddr, pin::pin, sync::mpsc, time::Duration};

use futures_util::future::{FutureExt, join_all};
use inkpass::{
    client::Client,
    proto::{IssueTokenRequest, IssueTokenResponse},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_blocking,
    time::{advance, pause},
};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;

use crate::helpers::{World, assert_refused};

/// The time of tokio's timers. It does not pass by itself, even while everyone waits for a socket.
struct TimerClock {
    /// tokio moves no paused clock while a blocking task runs. Ends it when dropped.
    _blocking_task: mpsc::Sender<()>,
    passed: Duration,
}

impl TimerClock {
    fn pause() -> Self {
        pause();
        let (sender, receiver) = mpsc::channel();
        spawn_blocking(move || receiver.recv());
        Self { _blocking_task: sender, passed: Duration::ZERO }
    }

    async fn advance(&mut self, step: Duration) {
        advance(step).await;
        self.passed += step;
    }
}

/// A unary call whose request never arrives.
async fn unfinished_call(client: &Client, timeout: Option<Duration>) -> Status {
    let mut request = Request::new(tokio_stream::pending::<IssueTokenRequest>());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let mut grpc = Grpc::new(client.channel());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/inkpass.v1.TokenService/IssueToken");
    let codec = ProstCodec::<IssueTokenRequest, IssueTokenResponse>::default();
    grpc.client_streaming(request, path, codec).await.unwrap_err()
}

#[tokio::test]
async fn a_call_lasts_at_most_20_seconds_with_a_longer_deadline_and_without_one() {
    let world = World::start().await;
    let mut clock = TimerClock::pause();
    let timeouts = [None, Some(Duration::from_mins(1)), Some(Duration::from_hours(1))];
    let mut calls = pin!(join_all(timeouts.map(|timeout| unfinished_call(&world.client, timeout))));
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
    }
    assert!((20..=22).contains(&clock.passed.as_secs()), "{:?}", clock.passed);
}

/// An HTTP/2 connection without a call, of a client that answers what it must.
struct Connection(TcpStream);

/// Types of HTTP/2 frames, and the flag of an answer: RFC 9113, 6.5, 6.7 and 6.8.
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;

impl Connection {
    async fn open(server: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut connection = Self(stream);
        connection.send(SETTINGS, 0, &[]).await;
        connection
    }

    async fn send(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let frame = [&[0, 0, length, kind, flags, 0, 0, 0, 0], payload].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame's type, flags and payload.
    async fn receive(&mut self) -> (u8, u8, Vec<u8>) {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).await.unwrap();
        let [length @ .., kind, flags, _, _, _, _] = header;
        let length = length.into_iter().fold(0, |length, byte| length << 8 | usize::from(byte));
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        (kind, flags, payload)
    }

    /// The error code of a GOAWAY, if one comes before the answer to a PING.
    async fn goaway(&mut self) -> Option<Vec<u8>> {
        self.send(PING, 0, b"question").await;
        loop {
            match self.receive().await {
                (GOAWAY, _, payload) => return Some(payload[4..8].to_vec()),
                (PING, ACK, _) => return None,
                (PING, _, payload) => self.send(PING, ACK, &payload).await,
                (SETTINGS, 0, _) => self.send(SETTINGS, ACK, &[]).await,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_asked_to_go_after_5_minutes() {
    let world = World::start().await;
    let mut clock = TimerClock::pause();
    let mut connection = Connection::open(world.grpc).await;
    let error = loop {
        if let Some(error) = connection.goaway().await {
            break error;
        }
        assert!(clock.passed < Duration::from_mins(6), "it is never asked to go");
        // Less than a keepalive PING waits for its answer.
        clock.advance(Duration::from_secs(5)).await;
    };
    assert_eq!(error, [0; 4], "NO_ERROR");
    assert!((300..=305).contains(&clock.passed.as_secs()), "{:?}", clock.passed);
}
