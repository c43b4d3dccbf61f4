//! One caller takes all it can of what is bounded, and another one calls: fault cases 54 to 56. Callers without a credential
//! take all the watches that there are for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use inkpass::{
    client::Client,
    proto::{CreateRoomRequest, GetRoomRequest, Role},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::{
    command_line::Limit,
    decisions::{TestService, issue, program::Program, room, until},
    helpers::{
        World,
        raw::{Raw, message},
    },
};

/// Two callers that may do the same.
pub(super) const POLICY: &str = r#"[[grants]]
name = "both"
principals = ["key:teacher", "key:verifier"]
rpcs = ["inkpass.v1.TokenService/IssueToken", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv"]
tokens = [{ kind = "room", strongest_role = "writer" }]
"#;

/// Half of the 256 places upstream.
const SHARE: usize = 128;

/// The reason, and the quota that it names.
pub(super) fn refusal(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    let quota = details.quota_failure().map_or("", |failure| &failure.violations[0].subject).to_owned();
    (details.error_info().unwrap().reason.clone(), quota)
}

pub(super) fn own_share(of: &str) -> (String, String) {
    ("CALLER_QUOTA_EXCEEDED".to_owned(), of.to_owned())
}

/// So many calls at once; gives those that are refused, once `left` are under way.
async fn crowd<F>(
    calls: usize,
    left: usize,
    call: impl Fn(usize) -> F,
) -> (Vec<Status>, JoinSet<Result<(), Status>>)
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 0..calls {
        crowd.spawn(call(number));
    }
    let mut refused = Vec::new();
    while crowd.len() > left {
        let ended = tokio::time::timeout(Duration::from_secs(10), crowd.join_next()).await;
        refused.push(ended.expect("it is refused at once").unwrap().unwrap().unwrap_err());
    }
    (refused, crowd)
}

/// Several of one caller, because each has at most 128 calls at once.
async fn connections(service: &TestService) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(service.teacher().await);
    }
    clients
}

async fn hang(service: &TestService, path: &str, delay_ms: u64) {
    let slow = json!({ "path": path, "count": 10_000, "kind": "delay", "delay_ms": delay_ms });
    service.world.upstream.fault(slow).await;
}

async fn read(client: Client, number: usize) -> Result<(), Status> {
    let request = GetRoomRequest { uuid: format!("room-{number}"), ..Default::default() };
    client.rooms().get_room(request).await.map(|_| ())
}

#[tokio::test]
async fn reads_of_one_caller_from_a_hung_upstream_leave_places_for_others() {
    let service = TestService::start(POLICY).await;
    let (crowd_of, other) = (connections(&service).await, service.client("key:verifier").await);
    let greedy = &crowd_of[0];
    hang(&service, "/v5/rooms", 15_000).await;
    let of = |number: usize| crowd_of[number % crowd_of.len()].clone();
    let (refused, mut waiting) = crowd(200, SHARE, |number| read(of(number), number)).await;
    assert!(refused.iter().all(|status| refusal(status) == own_share("upstream reads")), "{refused:?}");
    assert_eq!(refused[0].code(), Code::ResourceExhausted);
    service.until_sent(SHARE).await;
    // Another one's read goes out, and a read that joins it takes no place.
    let mut others = tokio::spawn(read(other.clone(), 5000));
    service.until_sent(SHARE + 1).await;
    let mut joins = tokio::spawn(read(greedy.clone(), 5000));
    issue(&other, room("abuse", Role::Writer)).await.unwrap();
    for call in [&mut joins, &mut others] {
        // On a busy machine its time may be over.
        if let Some(ended) = call.now_or_never() {
            assert_ne!(refusal(&ended.unwrap().unwrap_err()), own_share("upstream reads"));
        }
    }

    waiting.abort_all();
    joins.abort();
    while waiting.join_next().await.is_some() {}
    service.world.upstream.clear_faults().await;
    until("its places are free again", async || {
        read(greedy.clone(), 1000).await.unwrap_err().code() == Code::NotFound
    })
    .await;
}

#[tokio::test]
async fn creates_of_one_caller_that_hang_leave_places_for_others_and_are_free_once_they_have_ended() {
    let service = TestService::recorded(POLICY).await;
    let (crowd_of, other) = (connections(&service).await, service.client("key:verifier").await);
    let greedy = &crowd_of[0];
    // Longer than all of this takes.
    hang(&service, "/v5/rooms", 10_000).await;
    let create = |client: Client| async move {
        client.rooms().create_room(CreateRoomRequest::default()).await.map(|_| ())
    };
    let of = |number: usize| crowd_of[number % crowd_of.len()].clone();
    let (refused, mut waiting) = crowd(200, SHARE, |number| create(of(number))).await;
    assert!(refused.iter().all(|status| refusal(status) == own_share("upstream writes")), "{refused:?}");
    // Those that are refused cost no line of the audit trail, and so little in an overload.
    service.until_sent(SHARE).await;
    assert_eq!(service.lines().len(), SHARE);
    let others = tokio::spawn(create(other));
    service.until_sent(SHARE + 1).await;
    // The callers leave; what was sent is not stopped, and keeps its place until it has ended.
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    assert_eq!(refusal(&create(greedy.clone()).await.unwrap_err()), own_share("upstream writes"));
    others.await.unwrap().unwrap();
    service.world.upstream.clear_faults().await;
    until("its places are free again", async || create(greedy.clone()).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_hang_leave_descriptors_for_new_connections_probes_and_others_reads() {
    let program = Program::limited(POLICY, Limit::Descriptors(1024), 0).await;
    let slow = json!({ "path": "/v5/rooms", "count": 10_000, "kind": "delay", "delay_ms": 15_000 });
    program.upstream().fault(slow).await;
    let mut crowd_of = Vec::new();
    for _ in 0..30 {
        crowd_of.push(program.client("key:teacher").await);
    }
    let of = |number: usize| crowd_of[number % crowd_of.len()].clone();
    // More than it has descriptors.
    let (refused, waiting) = crowd(1200, SHARE, |number| read(of(number), number)).await;
    let is_of_its_share = |status: &Status| refusal(status).0 == "CALLER_QUOTA_EXCEEDED";
    assert!(
        refused.iter().all(is_of_its_share),
        "{:?}",
        refused.iter().find(|status| !is_of_its_share(status))
    );

    // Connections that were not there before.
    let other = program.client("key:verifier").await;
    issue(&other, room("abuse", Role::Writer)).await.unwrap();
    program.admin("/livez").await;
    program.admin("/readyz").await;
    HealthClient::new(program.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    let others = tokio::spawn(read(other, 5000));
    let upstream = program.upstream();
    until("the other's read goes out", async || upstream.requests().await.len() == SHARE + 1).await;
    assert!(!others.is_finished() && waiting.len() == SHARE);
    assert_eq!(program.logged("cannot be accepted"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_denials_is_summed_up_and_counted() {
    const FLOOD: Duration = Duration::from_secs(10);
    let program = Program::auditing_to("DIR/audit.log", POLICY).await;
    let (ungranted, other) = (program.client("key:ungranted").await, program.client("key:teacher").await);
    let began = Instant::now();
    let (mut flood, denied) = (JoinSet::new(), Arc::<AtomicU64>::default());
    for _ in 0..64 {
        let (ungranted, denied) = (ungranted.clone(), denied.clone());
        flood.spawn(async move {
            // A slow machine takes longer to flood anybody.
            while began.elapsed() < FLOOD || denied.load(Ordering::SeqCst) <= 2000 {
                issue(&ungranted, room("abuse", Role::Writer)).await.unwrap_err();
                denied.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    while began.elapsed() < FLOOD {
        issue(&other, room("abuse", Role::Writer)).await.unwrap();
    }
    flood.join_all().await;
    let denied = denied.load(Ordering::SeqCst);
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;

    let lines = || {
        let all = crate::audit::read_so_far(&program.path("audit.log"));
        all.into_iter().filter(|line| line["principal"] == "key:ungranted").collect::<Vec<Value>>()
    };
    until("all are counted", async || {
        lines().iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum::<u64>() == denied
    })
    .await;
    let lines = lines();
    let summaries: Vec<_> = lines.iter().filter(|line| line["mark"] == "summary").collect();
    assert!((5..=seconds).contains(&summaries.len()), "one a second: {summaries:?}");
    assert!(lines.len() - summaries.len() <= 5 * seconds, "five a second: {}", lines.len());
    let bytes: usize = lines.iter().map(|line| line.to_string().len()).sum();
    assert!(bytes < 256 * 1024, "{bytes}");
    assert_eq!(summaries[0]["reason"], "PROJECT_UNKNOWN", "{}", summaries[0]);
    assert_eq!(summaries[0]["rpc"], "inkpass.v1.TokenService/IssueToken");
}

#[tokio::test]
async fn a_reflection_stream_whose_place_goes_to_another_is_not_kept_for_the_rest_of_its_request() {
    let world = World::start().await;
    let mut crowd = Vec::new();
    // More than the sixteen that there are for them.
    for _ in 0..3 {
        let mut raw = Raw::connect(world.grpc).await;
        for _ in 0..8 {
            let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
            raw.call(path, &[], &message(1000, 500)).await;
        }
        assert!(raw.ping().await);
        crowd.push(raw);
    }
    let reset = async {
        while crowd[0].next_frame().await.expect("the connection stays open").resets_with() != Some(0) {}
    };
    tokio::time::timeout(Duration::from_secs(10), reset).await.expect("a stream is closed on both sides");
}

#[tokio::test]
async fn watches_of_health_that_nobody_has_authenticated_leave_one_for_each_newcomer() {
    let world = World::start().await;
    let watch = async || {
        let channel = Channel::from_shared(format!("http://{}", world.grpc)).unwrap().connect().await;
        let watch = HealthClient::new(channel.unwrap()).watch(HealthCheckRequest::default()).await;
        let mut watch = watch.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watch
    };
    let mut probe = watch().await;
    let mut crowd = Vec::new();
    for _ in 0..24 {
        let mut raw = Raw::connect(world.grpc).await;
        for _ in 0..8 {
            raw.whole_call("/grpc.health.v1.Health/Watch", &[], &message(0, 0)).await;
        }
        assert!(raw.ping().await);
        crowd.push(raw);
    }
    let mut newcomers = [watch().await, watch().await];
    // Those who had more than others were told so, and a few of theirs have ended.
    let ended = tokio::time::timeout(Duration::from_secs(10), crowd[0].until_ended(1)).await;
    ended.expect("a watch of the first connection makes room");
    for watch in newcomers.iter_mut().chain([&mut probe]) {
        assert!(watch.message().now_or_never().is_none(), "it goes on");
    }
    world.stop.send(()).unwrap();
    for watch in newcomers.iter_mut().chain([&mut probe]) {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
}
