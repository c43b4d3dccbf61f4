//! Connections that say nothing, say too much, or come in crowds: fault cases 1 to 4, 7, 14, 57 and 64.

use std::{pin::pin, time::Duration};

use futures_util::{FutureExt, future::join_all};
use inkpass::{client::Client, proto::Role, server::Timeouts};
use tokio::net::TcpStream;

use crate::{
    decisions::{issue, room},
    helpers::{
        Setup, World,
        clock::TimerClock,
        raw::{PREFACE, Raw, frame, message, reset, whole},
    },
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const ISSUE_TOKEN: &str = "/inkpass.v1.TokenService/IssueToken";

async fn call(client: &Client) {
    issue(client, room("abuse", Role::Writer)).await.unwrap();
}

async fn metric(world: &World, line: &str) -> u64 {
    let metrics = world.metrics().await;
    let found = metrics.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0)
}

/// When these connections are closed, by a clock that the test moves.
async fn closed_after(
    world: &World,
    mut clock: TimerClock,
    raws: &mut [Raw],
    most: Duration,
) -> Vec<Option<Duration>> {
    let mut closed = vec![None; raws.len()];
    while clock.passed < most {
        clock.advance(Duration::from_millis(500)).await;
        // By its answer, the server has done what was due.
        call(&world.client).await;
        for (raw, closed) in raws.iter_mut().zip(&mut closed) {
            if closed.is_none() && raw.is_closed() {
                *closed = Some(clock.passed);
            }
        }
    }
    closed
}

/// What comes of this, which may take so long by the clock, however long the machine takes.
async fn within<T>(
    world: &World,
    clock: &mut TimerClock,
    most: Duration,
    work: impl Future<Output = T>,
) -> T {
    let (mut work, latest) = (pin!(work), clock.passed + most);
    loop {
        if let Some(done) = (&mut work).now_or_never() {
            return done;
        }
        assert!(clock.passed < latest, "it is held up");
        clock.advance(Duration::from_millis(5)).await;
        // By its answer, the server has done what was due.
        call(&world.client).await;
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_a_preface_is_closed_after_five_seconds() {
    let world = World::start().await;
    let (silent, mut half) = (Raw::silent(world.grpc).await, Raw::silent(world.grpc).await);
    half.send(&PREFACE[..10]).await;
    let closed = closed_after(&world, TimerClock::pause(), &mut [silent, half], Duration::from_secs(8)).await;
    let at_five =
        |after: &Option<Duration>| after.is_some_and(|after| (4500..=6000).contains(&after.as_millis()));
    assert!(closed.iter().all(at_five), "{closed:?}");
    assert_eq!(metric(&world, "inkpass_connections_cut_total{cause=\"silent\",listener=\"grpc\"}").await, 2);
}

#[tokio::test]
async fn who_makes_no_call_is_closed_and_who_makes_one_is_not() {
    let world = World::start().await;
    let (idle, mut busy) = (Raw::connect(world.grpc).await, Raw::connect(world.grpc).await);
    busy.whole_call(HEALTH, &[], &message(0, 0)).await;
    busy.until_ended(1).await;
    let mut half = Raw::connect(world.grpc).await;
    // Headers of which the end never comes.
    half.send(&frame(1, 0, 1, b"x")).await;
    let closed =
        closed_after(&world, TimerClock::pause(), &mut [idle, half, busy], Duration::from_secs(35)).await;
    // Asked at 15 s, and cut 10 s later, because they answer nothing.
    let in_time = |after: &Option<Duration>| after.is_some_and(|after| (15..=27).contains(&after.as_secs()));
    assert!(closed[..2].iter().all(in_time), "{closed:?}");
    assert_eq!(closed[2], None);
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_noticed_within_forty_seconds() {
    let world = World::start().await;
    let mut gone = Raw::connect(world.grpc).await;
    gone.whole_call(HEALTH, &[], &message(0, 0)).await;
    gone.until_ended(1).await;
    // As behind a half-open connection: nothing is answered any more.
    gone.falls_silent();
    let closed = closed_after(&world, TimerClock::pause(), &mut [gone], Duration::from_secs(45)).await;
    assert!(closed[0].is_some_and(|after| after <= Duration::from_secs(42)), "{closed:?}");
}

#[tokio::test]
async fn a_crowd_of_unauthenticated_connections_makes_room_and_those_that_have_called_stay() {
    let world = World::start().await;
    call(&world.client).await;
    let mut clock = TimerClock::pause();
    let crowd = join_all((0..1300).map(|_| TcpStream::connect(world.grpc))).await;
    assert!(crowd.iter().all(Result::is_ok));
    // A newcomer finds a place, though unauthenticated ones have taken theirs. Each of them alone would have five seconds.
    let newcomer = async {
        let newcomer = Client::connect(&format!("http://{}", world.grpc)).await.unwrap();
        call(&newcomer).await;
    };
    within(&world, &mut clock, Duration::from_secs(4), newcomer).await;
    let made_room =
        metric(&world, "inkpass_connections_cut_total{cause=\"made_room\",listener=\"grpc\"}").await;
    assert!(made_room >= 1300 - 1024, "{made_room}");
    let open = metric(&world, "inkpass_connections{listener=\"grpc\"}").await;
    assert!(open <= 1024 + 2, "{open}");
}

#[tokio::test]
async fn a_burst_of_a_thousand_connections_is_taken_at_once() {
    let world = World::start().await;
    // The server shares this thread: none is accepted meanwhile. A SYN that finds no room is sent again after a second.
    let connect = |_| std::net::TcpStream::connect_timeout(&world.grpc, Duration::from_millis(900));
    let crowd: Vec<_> = (0..1000).map(connect).collect();
    let refused = crowd.iter().filter(|stream| stream.is_err()).count();
    assert_eq!(refused, 0, "found no room");
    call(&world.client).await;
}

#[tokio::test]
async fn resets_in_small_bursts_end_the_connection() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    let mut streams = 0;
    // Fewer at a time than h2 would count.
    while streams < 10_000 {
        let mut burst = Vec::new();
        for _ in 0..15 {
            let (stream, headers) = raw.headers(ISSUE_TOKEN, &[("grpc-timeout", "1S")]);
            burst.extend([headers, reset(stream)].concat());
        }
        streams += 15;
        raw.send(&burst).await;
        if !raw.ping().await {
            break;
        }
    }
    assert!(streams <= 500, "{streams} calls were begun and reset");
    let started = world.metrics().await;
    let started: u64 = started
        .lines()
        .filter(|line| line.starts_with("inkpass_calls_total") && line.contains("IssueToken"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert!(started <= 600, "{started}");
    call(&world.client).await;
}

#[tokio::test]
async fn resets_at_their_calls_own_deadline_do_not_end_the_connection() {
    let world = World::start().await;
    let mut raw = Raw::connect(world.grpc).await;
    for round in 0..6 {
        let (mut begin, mut give_up) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            let (stream, headers) = raw.headers(ISSUE_TOKEN, &[("grpc-timeout", "100m")]);
            begin.extend(headers);
            give_up.extend(reset(stream));
        }
        raw.send(&begin).await;
        assert!(raw.ping().await, "{round}");
        // The callers' patience.
        tokio::time::sleep(Duration::from_millis(100)).await;
        raw.send(&give_up).await;
        assert!(raw.ping().await, "{round}");
    }
}

#[tokio::test]
async fn who_reads_no_answer_is_cut_at_twice_a_connection_s_age() {
    let timeouts = Timeouts { connection_age: Duration::from_secs(1), ..Timeouts::default() };
    let world = Setup { timeouts, ..Setup::default() }.start().await;
    // No window for any answer.
    let mut raw = Raw::with_settings(world.grpc, &[(4, 0)]).await;
    let request = whole(&room("abuse", Role::Writer));
    for _ in 0..128 {
        raw.whole_call(ISSUE_TOKEN, &[], &request).await;
    }
    let mut clock = TimerClock::pause();
    while !raw.is_closed() {
        assert!(clock.passed < Duration::from_secs(4), "it stays open");
        clock.advance(Duration::from_millis(500)).await;
        // By its answer, the server has done what was due.
        world.metrics().await;
    }
}

#[tokio::test]
async fn half_requests_at_the_admin_port_hold_up_no_probe() {
    let world = World::start().await;
    let mut half = join_all((0..300).map(|_| Raw::silent(world.admin))).await;
    for raw in &mut half {
        raw.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
    }
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
    let mut clock = TimerClock::pause();
    for _ in 0..20 {
        let probe = http.get(format!("http://{}/livez", world.admin)).send();
        let answer = within(&world, &mut clock, Duration::from_secs(1), probe).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let open = metric(&world, "inkpass_connections{listener=\"admin\"}").await;
    assert!(open <= 64, "{open}");
    let closed = closed_after(&world, clock, &mut half, Duration::from_secs(8)).await;
    assert!(closed.iter().all(Option::is_some), "half a request stays open");
}
