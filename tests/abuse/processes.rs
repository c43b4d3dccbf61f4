//! What is done to a process: killed while it creates, short of descriptors, and connections that end while calls go on.
//! Fault cases 5, 23 and 24.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use inkpass::{
    client::Client,
    proto::{CreateRoomRequest, Role},
    server::Timeouts,
};
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use crate::{
    decisions::{POLICY, issue, program::Program, room, until},
    helpers::{Setup, resend::sent_again},
};

#[tokio::test]
async fn connections_that_end_at_their_age_fail_no_call() {
    let timeouts = Timeouts { connection_age: Duration::from_secs(5), ..Timeouts::default() };
    let world = Setup { timeouts, ..Setup::default() }.start().await;
    let until = Instant::now() + Duration::from_secs(12);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let client = Client::connect(&format!("http://{}", world.grpc)).await.unwrap();
        callers.spawn(async move {
            let mut calls = 0;
            while Instant::now() < until {
                sent_again(|| issue(&client, room("age", Role::Writer))).await.unwrap();
                calls += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            calls
        });
    }
    let calls: usize = callers.join_all().await.iter().sum();
    assert!(calls > 300, "{calls}");
}

/// Lets the process have so many descriptors more than it has open.
fn limit_descriptors(program: &Program, more: usize) {
    let id = program.id().to_string();
    let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let limit = format!("--nofile={}:", open + more);
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
}

async fn crowd(program: &Program) -> Vec<TcpStream> {
    let address: SocketAddr = program.part("grpc").parse().unwrap();
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    crowd
}

#[tokio::test]
async fn a_process_without_descriptors_burns_no_time_and_goes_on_once_it_has_some() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    issue(&teacher, room("r", Role::Writer)).await.unwrap();
    // Nobody can make room: the only connection has called.
    limit_descriptors(&program, 0);
    let crowd = crowd(&program).await;
    until("it runs out", async || program.logged("cannot be accepted") > 0).await;
    let (spent, began) = (program.cpu_ticks(), Instant::now());
    tokio::time::sleep(Duration::from_secs(6)).await;
    // Ticks of 10 ms: five in a hundred; who tries without a pause takes all of them.
    let (spent, passed) = (program.cpu_ticks() - spent, began.elapsed());
    assert!(u128::from(spent) * 200 < passed.as_millis(), "{spent} ticks in {passed:?}");
    let lines = u128::try_from(program.logged("cannot be accepted")).unwrap();
    assert!(lines <= 2 + began.elapsed().as_millis() / 5000, "one line in five seconds: {lines}");
    issue(&teacher, room("r", Role::Writer)).await.unwrap();

    limit_descriptors(&program, 100);
    let released = Instant::now();
    let newcomer = program.client("key:teacher").await;
    issue(&newcomer, room("r", Role::Writer)).await.unwrap();
    // It tries again every half a second; the crowd is before the newcomer.
    assert!(released.elapsed() < Duration::from_secs(2), "{:?}", released.elapsed());
    drop(crowd);
}

#[tokio::test]
async fn where_few_descriptors_are_left_those_who_say_nothing_make_room_for_a_caller() {
    let program = Program::start(POLICY, "").await;
    limit_descriptors(&program, 8);
    let crowd = crowd(&program).await;
    let newcomer = program.client("key:teacher").await;
    issue(&newcomer, room("r", Role::Writer)).await.unwrap();
    drop(crowd);
    // On its own each of the others would have had five seconds, and been cut as silent.
    let made_room = |line: &str| {
        let of = "inkpass_connections_cut_total{cause=\"made_room\",listener=\"grpc\"} ";
        line.strip_prefix(of).is_some_and(|count| count != "0")
    };
    assert!(program.admin("/metrics").await.lines().any(made_room));
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_creates_leaves_its_decision_and_tells_its_caller_nothing() {
    let (program, upstream) = Program::with_upstream(POLICY).await;
    upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 5000 })).await;
    let teacher = program.client("key:teacher").await;
    let creating =
        tokio::spawn(async move { teacher.rooms().create_room(CreateRoomRequest::default()).await });
    let lines = || crate::audit::read_so_far(&program.path("audit.log"));
    until("its decision is written", async || lines().iter().any(|line| line["phase"] == "decision")).await;
    program.signal("KILL");
    let failed = creating.await.unwrap().unwrap_err();
    assert!([tonic::Code::Unavailable, tonic::Code::Unknown].contains(&failed.code()), "{failed:?}");
    assert!(
        lines().iter().all(|line| line["phase"] != "outcome"),
        "whoever reads the trail looks for a room"
    );
}
