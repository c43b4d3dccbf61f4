//! Callers behind a network that loses or delays packets: fault case 47. The others do not notice.

use std::{
    fmt::Write,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use inkpass::proto::{IssueTokenRequest, Role};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep_until},
};

use crate::{
    decisions::{POLICY, TestService, issue, room},
    helpers::{ANY_PORT, skipped::succeeds},
};

fn request() -> IssueTokenRequest {
    room("far-away", Role::Writer)
}

/// A relay on loopback that calls the server from this address, and passes on what both say.
async fn relay<F: Future<Output = ()> + Send>(
    source: &str,
    server: SocketAddr,
    pass_on: impl Fn(OwnedReadHalf, OwnedWriteHalf) -> F + Copy + Send + 'static,
) -> SocketAddr {
    let source = SocketAddr::new(source.parse().unwrap(), 0);
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpSocket::new_v4().unwrap();
            far.bind(source).unwrap();
            let far = far.connect(server).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(async move { tokio::join!(pass_on(near_in, far_out), pass_on(far_in, near_out)) });
        }
    });
    address
}

/// What is said arrives up to 200 ms late, in its order.
async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut bytes = [0; 4096];
    for piece in 0_u64.. {
        let Ok(length @ 1..) = from.read(&mut bytes).await else { return };
        // As irregular as it needs to be, and the same each time.
        sleep_until(Instant::now() + Duration::from_millis(piece * 7919 % 200)).await;
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

async fn at_once(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // It ends with either side.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// So many calls by this address, each of which is answered, if not at the first try, and meanwhile another caller's, which nothing delays: there are many
/// more of them. On a busy machine it takes more calls to see that.
async fn calls_are_answered(service: &TestService, address: SocketAddr, count: usize) {
    let far = service.client_at(address, "key:teacher").await;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());
    let others = tokio::spawn({
        let (near, stop, calls) = (service.teacher().await, stop.clone(), calls.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                issue(&near, request()).await.unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let (mut sent, mut given_up) = (0, 0);
    while sent < count || sent < 10 * count && calls.load(Ordering::SeqCst) <= 200 {
        while let Err(status) = issue(&far, request()).await {
            // Seven losses of one packet in a row take 25 s: longer than a call, or than a connection may be silent.
            let is_of_the_network = matches!(status.message(), "Timeout expired" | "transport error");
            assert!(is_of_the_network && given_up < 3, "{status:?}");
            given_up += 1;
        }
        sent += 1;
    }
    stop.store(true, Ordering::SeqCst);
    others.await.unwrap();
    let others = calls.load(Ordering::SeqCst);
    assert!(others > 200, "{others} while {sent} from afar");
}

#[tokio::test]
async fn calls_that_arrive_late_are_answered_and_delay_no_other() {
    let service = TestService::start(POLICY).await;
    let relay = relay("127.0.0.1", service.world.grpc, late).await;
    calls_are_answered(&service, relay, 20).await;
}

/// Drops three in ten packets between an address of loopback and a port, for as long as this lives.
struct Loss(String);

impl Loss {
    const ADDRESS: &'static str = "127.0.0.47";

    /// `None`, with the reason printed, where the kernel has no such rules for us.
    fn at(port: u16) -> Option<Self> {
        let table = format!("inkpass_{}", std::process::id());
        let mut rules = format!("table ip {table} {{ chain lossy {{ type filter hook output priority 0;");
        for (address, at) in [("saddr", "dport"), ("daddr", "sport")] {
            write!(rules, "ip {address} {} tcp {at} {port} numgen random mod 10 < 3 drop;", Self::ADDRESS)
                .unwrap();
        }
        rules += "}; };";
        succeeds("nft", &[&rules]).then_some(Self(table))
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        let _ = Command::new("nft").args(["delete", "table", "ip", &self.0]).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn three_packets_in_ten_may_be_lost_and_every_call_is_answered() {
    let service = TestService::start(POLICY).await;
    let Some(_loss) = Loss::at(service.world.grpc.port()) else { return };
    let relay = relay(Loss::ADDRESS, service.world.grpc, at_once).await;
    calls_are_answered(&service, relay, 10).await;
}
