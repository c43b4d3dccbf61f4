//! Upstreams that cannot be reached: row 25 of the fault cases.

use std::{
    net::SocketAddr,
    pin::pin,
    time::{Duration, Instant},
};

use inkpass::proto::{CancelConversionRequest, CreateRoomRequest};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::{
    ROOM, create,
    peer::{Answer, Peer, read_request},
    read, world,
};
use crate::helpers::{ANY_PORT, World, assert_refused};

/// Three connections of 2 s each, and the pauses between them.
const LONGEST: Duration = Duration::from_secs(10);

/// A listener whose backlog is full, so that a new connection has no answer at all.
struct BlackHole {
    listener: TcpListener,
    _full: Vec<TcpStream>,
}

impl BlackHole {
    async fn dig() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ANY_PORT).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut full = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            full.push(connected.unwrap());
        }
        Self { listener, _full: full }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

async fn assert_unreachable(world: &World) {
    let began = Instant::now();
    assert_refused(&create(world).await.unwrap_err(), Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    let began = Instant::now();
    assert_refused(&read(world).await.unwrap_err(), Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_upstream_that_swallows_connections_is_given_up_by_the_connection_s_time() {
    let hole = BlackHole::dig().await;
    assert_unreachable(&world(hole.address(), |settings| settings).await).await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_an_upstream_that_is_not_there() {
    let peer = Peer::start(Answer::Close).await;
    let nowhere = "http://nowhere.invalid".parse().unwrap();
    let world =
        world(peer.address, |settings| inkpass::whiteboard::Settings { base_url: nowhere, ..settings });
    assert_unreachable(&world.await).await;
    assert_eq!(peer.requests(), 0);
}

/// Without a body.
async fn cancel_within(world: &World, timeout_ms: u64) -> Status {
    let mut request = Request::new(CancelConversionRequest { uuid: "c1".to_owned(), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", format!("{timeout_ms}m").parse().unwrap());
    world.client.conversions().cancel_conversion(request).await.unwrap_err()
}

#[tokio::test]
async fn nothing_is_let_out_after_its_caller_has_left_however_late_the_connection_comes() {
    join!(
        assert_kept("RoomService/CreateRoom", CreateRoomRequest::default()),
        assert_kept(
            "ConversionService/CancelConversion",
            CancelConversionRequest { uuid: "c1".to_owned(), ..Default::default() }
        )
    );
}

async fn assert_kept(rpc: &str, request: impl Message) {
    let hole = BlackHole::dig().await;
    let world = world(hole.address(), |settings| settings).await;
    let began = Instant::now();
    let refused = world.refused_within("600m", rpc, &request).await;
    assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    let told = refused.get_error_details().error_info().unwrap().metadata.clone();
    assert!(told.is_empty(), "nothing was done, and its caller is told before it leaves: {told:?}");

    // Now it answers connections: the first SYN is sent again after a second, and gets one.
    let until = began + Duration::from_secs(4);
    let mut others = 0;
    while let Ok(accepted) =
        timeout(until.saturating_duration_since(Instant::now()), hole.listener.accept()).await
    {
        let (mut stream, _) = accepted.unwrap();
        others += 1;
        let mut bytes = Vec::new();
        let _ = timeout(Duration::from_millis(300), stream.read_to_end(&mut bytes)).await;
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(others > 0);
}

#[tokio::test]
async fn what_has_no_body_says_nothing_of_one() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let world = world(listener.local_addr().unwrap(), |settings| settings).await;
    let head = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap()
    };
    let (head, _) = join!(head, cancel_within(&world, 5000));
    assert!(head.starts_with("DELETE /v5/projector/tasks/c1 "), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn who_waits_longer_for_the_same_request_id_sends_what_was_kept_back() {
    let hole = BlackHole::dig().await;
    let world = world(hole.address(), |settings| settings).await;
    let request_id = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11".to_owned();
    let request = CreateRoomRequest { request_id, ..Default::default() };
    let (hurried, patient) = join!(world.refused_within("600m", "RoomService/CreateRoom", &request), async {
        let mut in_15_seconds = Request::new(request.clone());
        in_15_seconds.metadata_mut().insert("grpc-timeout", "15S".parse().unwrap());
        let mut rooms = world.client.rooms();
        let mut patient = pin!(rooms.create_room(in_15_seconds));
        // Until the other has left; then it answers.
        assert!(timeout(Duration::from_millis(700), &mut patient).await.is_err(), "it waits on");
        let answered = async {
            loop {
                let (mut stream, _) = hole.listener.accept().await.unwrap();
                tokio::spawn(async move {
                    read_request(&mut stream).await?;
                    let head = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: ";
                    stream.write_all(format!("{head}{}\r\n\r\n{ROOM}", ROOM.len()).as_bytes()).await.ok()
                });
            }
        };
        tokio::select! { patient = patient => patient, () = answered => unreachable!() }
    });
    assert_refused(&hurried, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    assert_eq!(patient.unwrap().into_inner().room.unwrap().uuid, "r1");
}
