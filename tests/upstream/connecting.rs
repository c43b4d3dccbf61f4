//! Upstreams that cannot be reached: row 25 of the fault cases.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    create, create_within,
    peer::{Answer, Peer},
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

#[tokio::test]
async fn a_post_is_not_let_out_after_its_caller_has_left_however_late_the_connection_comes() {
    let hole = BlackHole::dig().await;
    let world = world(hole.address(), |settings| settings).await;
    let began = Instant::now();
    let refused = create_within(&world, 600).await.unwrap_err();
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
