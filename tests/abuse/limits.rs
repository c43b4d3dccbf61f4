//! A process with little memory or little CPU time, by the kernel's own limits: fault cases 45 and 46.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use inkpass::proto::Role;
use tokio::task::JoinSet;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::{
    command_line::Limit,
    decisions::{POLICY, issue, program::Program, room},
    helpers::{
        cgroup::Cgroup,
        raw::{Raw, message},
        until,
    },
};

const CONNECTIONS: usize = 2000;
/// More than there are places for calls.
const CALLERS: usize = 400;
const STREAMS: usize = 4;
const ISSUE_TOKEN: &str = "/inkpass.v1.TokenService/IssueToken";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures an optimised program: just rotation"]
async fn two_thousand_connections_of_four_calls_each_fit_into_64_mib() {
    let Some(limit) = Cgroup::memory(64 * 1024 * 1024) else { return };
    let program = Program::limited(POLICY, Limit::Cgroup(&limit), CALLERS).await;
    let address = program.part("grpc").parse().unwrap();
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        // Few of each caller: one alone would be told that it has its share.
        let key = fs::read_to_string(program.path(&format!("key:crowd-{}", number % CALLERS))).unwrap();
        let key = [("x-api-key", key.trim())];
        let mut raw = Raw::connect(address).await;
        // Its first call tells who it is.
        raw.whole_call(ISSUE_TOKEN, &key, &message(0, 0)).await;
        raw.until_ended(1).await;
        for _ in 0..STREAMS {
            raw.call(ISSUE_TOKEN, &key, &message(1024, 512)).await;
        }
        connections.push(raw);
    }
    // Those that find no place are told so at once; all connections stay, and others are served.
    let open = join_all(connections.iter_mut().map(Raw::ping)).await;
    assert!(open.iter().all(|open| *open), "{} are open", open.iter().filter(|open| **open).count());
    let metrics = program.admin("/metrics").await;
    let ended = |of: &str| -> usize {
        let lines =
            metrics.lines().filter(|line| line.starts_with("inkpass_calls_total") && line.contains(of));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    };
    let (overloaded, own_share) = (ended("\"OVERLOADED\""), ended("\"CALLER_QUOTA_EXCEEDED\""));
    let under_way = CONNECTIONS * (1 + STREAMS) - ended("");
    assert!((300..=341).contains(&under_way), "one for 96 KiB beyond 32 MiB: {under_way}");
    assert!(overloaded > own_share, "OVERLOADED {overloaded}, and at its share {own_share}");
    let verifier = program.client("key:verifier").await;
    let request = inkpass::proto::VerifyTokenRequest { token: "x".to_owned(), ..Default::default() };
    verifier.tokens().verify_token(request).await.unwrap_err();
    drop(connections);
    let request = inkpass::proto::VerifyTokenRequest { token: "x".to_owned(), ..Default::default() };
    until(async || verifier.tokens().verify_token(request.clone()).await.is_ok()).await;
}

/// What came of the calls of a load.
#[derive(Default)]
struct Outcomes {
    answered: AtomicUsize,
    shed: AtomicUsize,
}

impl Outcomes {
    fn count(&self, result: Result<(), Status>) {
        let Err(status) = result else {
            self.answered.fetch_add(1, Ordering::SeqCst);
            return;
        };
        // Without a reason it is the client's: its deadline passed, or its connection ended because too many had.
        if let Some(info) = status.get_error_details().error_info() {
            let allowed = ["OVERLOADED", "CALLER_QUOTA_EXCEEDED", "DEADLINE_EXCEEDED"];
            assert!(allowed.contains(&&*info.reason), "{status:?}");
        }
        self.shed.fetch_add(1, Ordering::SeqCst);
    }
}

fn in_a_second<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(1));
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_a_tenth_of_a_core_lives_sheds_and_recovers() {
    let Some(limit) = Cgroup::cpu(10, 100) else { return };
    let program = Program::start(POLICY, "").await;
    let (outcomes, stop) = (Arc::new(Outcomes::default()), Arc::new(AtomicBool::new(false)));
    let mut load = JoinSet::new();
    // More than it can answer in time: single tokens, and more batches than a caller may have under way.
    for _ in 0..16 {
        let client = program.client("key:teacher").await;
        for number in 0..16 {
            let (client, outcomes, stop) = (client.clone(), outcomes.clone(), stop.clone());
            load.spawn(async move {
                let token = room("throttled", Role::Writer);
                while !stop.load(Ordering::SeqCst) {
                    let mut tokens = client.tokens();
                    let result = if number % 4 == 0 {
                        let requests = vec![token.clone(); 50];
                        tokens
                            .batch_issue_tokens(in_a_second(inkpass::proto::BatchIssueTokensRequest {
                                requests,
                            }))
                            .await
                            .map(drop)
                    } else {
                        tokens.issue_token(in_a_second(token.clone())).await.map(drop)
                    };
                    outcomes.count(result);
                }
            });
        }
    }
    until(async || outcomes.answered.load(Ordering::SeqCst) > 100).await;

    limit.hold(program.id());
    let throttled = Instant::now();
    let counts = || (outcomes.answered.load(Ordering::SeqCst), outcomes.shed.load(Ordering::SeqCst));
    let before = counts();
    let has_shed = || counts().0 > before.0 + 50 && counts().1 > before.1 + 50;
    while throttled.elapsed() < Duration::from_mins(1) || !has_shed() {
        assert!(
            throttled.elapsed() < Duration::from_mins(3),
            "some are answered, and some shed: {before:?} {:?}",
            counts()
        );
        // As the kubelet asks.
        program.admin("/livez").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(limit.throttled() > 100, "it stands still again and again");

    limit.lift();
    let patient = program.client("key:teacher").await;
    issue(&patient, room("recovered", Role::Writer)).await.unwrap();
    let answered = outcomes.answered.load(Ordering::SeqCst);
    until(async || outcomes.answered.load(Ordering::SeqCst) > answered + 500).await;
    stop.store(true, Ordering::SeqCst);
    load.join_all().await;
}
