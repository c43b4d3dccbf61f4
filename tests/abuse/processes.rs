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
    helpers::Setup,
};

#[tokio::test]
async fn connections_that_end_at_their_age_fail_no_call() {
    let timeouts = Timeouts { connection_age: Duration::from_millis(1500), ..Timeouts::default() };
    let world = Setup { timeouts, ..Setup::default() }.start().await;
    let until = Instant::now() + Duration::from_secs(7);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let client = Client::connect(&format!("http://{}", world.grpc)).await.unwrap();
        callers.spawn(async move {
            let mut calls = 0;
            while Instant::now() < until {
                issue(&client, room("age", Role::Writer)).await.unwrap();
                calls += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            calls
        });
    }
    let calls: usize = callers.join_all().await.iter().sum();
    assert!(calls > 300, "{calls}");
}

#[tokio::test]
async fn a_process_without_descriptors_burns_no_time_and_goes_on_once_it_has_some() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    let id = program.id().to_string();
    let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let limited = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={}", open + 8)]).status();
    assert!(limited.unwrap().success());
    let address: SocketAddr = program.part("grpc").parse().unwrap();
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    until("it runs out", async || program.logged("cannot be accepted") > 0).await;
    let (spent, began) = (cpu_ticks(&program), Instant::now());
    while began.elapsed() < Duration::from_secs(3) {
        issue(&teacher, room("r", Role::Writer)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Ticks of 10 ms: the calls are in them, and a loop that spins would take 300.
    let spent = cpu_ticks(&program) - spent;
    assert!(spent < 60, "{spent} ticks");
    assert!(program.logged("cannot be accepted") <= 3, "one line in five seconds");
    drop(crowd);
    let began = Instant::now();
    let newcomer = program.client("key:teacher").await;
    issue(&newcomer, room("r", Role::Writer)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// User and system time.
fn cpu_ticks(program: &Program) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_creates_leaves_its_decision_and_tells_its_caller_nothing() {
    let (program, upstream) = Program::with_upstream(POLICY).await;
    upstream.fault(json!({ "path": "/v5/rooms", "count": 1, "kind": "delay", "delay_ms": 5000 })).await;
    let teacher = program.client("key:teacher").await;
    let creating =
        tokio::spawn(async move { teacher.rooms().create_room(CreateRoomRequest::default()).await });
    let lines = || crate::audit::read(&program.path("audit.log"));
    until("its decision is written", async || lines().iter().any(|line| line["phase"] == "decision")).await;
    program.signal("KILL");
    let failed = creating.await.unwrap().unwrap_err();
    assert!([tonic::Code::Unavailable, tonic::Code::Unknown].contains(&failed.code()), "{failed:?}");
    assert!(
        lines().iter().all(|line| line["phase"] != "outcome"),
        "whoever reads the trail looks for a room"
    );
}
