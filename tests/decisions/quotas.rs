//! Quotas.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use inkpass::{
    client::Client,
    proto::{
        CancelConversionRequest, DynamicFormat, GetRoomRequest, Role, StartConversionRequest,
        WatchConversionRequest, start_conversion_request::Format,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{TestService, batch, issue, room, until};
use crate::helpers::assert_refused;

/// Everything for two callers, each with a quota for itself.
fn policy(quota: &str) -> String {
    format!(
        "[[grants]]\nname = 'both'\nprincipals = ['key:teacher', 'key:verifier']\nprojects = ['default']\n\
         rpcs = ['inkpass.v1.TokenService/*', 'inkpass.v1.RoomService/*', 'inkpass.v1.ConversionService/*']\n\
         regions = ['us-sv']\ntokens = [{{ kind = 'room', strongest_role = 'writer' }}]\n\
         quota = {{ {quota} }}\n"
    )
}

/// Checks that a quota is exceeded, by which limit, and whether a retry can help.
#[track_caller]
fn assert_exceeded(refused: &Status, limit: &str, passes: bool) {
    assert_refused(refused, Code::ResourceExhausted, "CALLER_QUOTA_EXCEEDED", &[]);
    let details = refused.get_error_details();
    let violations = &details.quota_failure().expect("a QuotaFailure").violations;
    assert_eq!((violations.len(), &*violations[0].subject), (1, limit), "{refused:?}");
    assert!(violations[0].description.starts_with("grant both allows "), "{refused:?}");
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    assert_eq!(delay.is_some_and(|delay| !delay.is_zero()), passes, "{refused:?}");
}

#[tokio::test]
async fn tokens_beyond_the_burst_are_refused_with_the_time_to_wait() {
    let service = TestService::start(&policy("tokens_per_second = 1, burst = 3")).await;
    let teacher = service.teacher().await;
    let good = || room("r", Role::Writer);
    let too_many = batch(&teacher, vec![good(); 4]).await.unwrap_err();
    assert_exceeded(&too_many, "burst", false);
    batch(&teacher, vec![good(); 2]).await.unwrap();
    let refused = batch(&teacher, vec![good(); 2]).await.unwrap_err();
    assert_exceeded(&refused, "tokens_per_second", true);
    issue(&teacher, good()).await.unwrap();
    let refused = issue(&teacher, good()).await.unwrap_err();
    assert_exceeded(&refused, "tokens_per_second", true);
    // The policy is asked before the quota, and the other caller has one for itself.
    let denied = issue(&teacher, room("r", Role::Admin)).await.unwrap_err();
    assert_refused(&denied, Code::PermissionDenied, "POLICY_DENIED", &[]);
    batch(&service.client("key:verifier").await, vec![good(); 3]).await.unwrap();

    let delay = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(delay <= Duration::from_secs(1), "{delay:?}");
    tokio::time::sleep(delay).await;
    issue(&teacher, good()).await.expect("it waited as long as it was told to");
}

#[tokio::test]
async fn upstream_calls_beyond_the_quota_are_not_sent() {
    let service = TestService::start(&policy("upstream_per_second = 1")).await;
    let teacher = service.teacher().await;
    let look = || GetRoomRequest { uuid: "r".into(), ..Default::default() };
    let missing = teacher.rooms().get_room(look()).await.unwrap_err();
    assert_refused(&missing, Code::NotFound, "ROOM_NOT_FOUND", &[]);
    let refused = teacher.rooms().get_room(look()).await.unwrap_err();
    assert_exceeded(&refused, "upstream_per_second", true);
    assert_eq!(service.sent().await, 1);
    // Minting asks nobody.
    issue(&teacher, room("r", Role::Writer)).await.unwrap();
}

#[tokio::test]
async fn a_watch_counts_for_as_long_as_it_is_open() {
    let service = TestService::start(&policy("watches = 2")).await;
    let (teacher, uuid) = (service.teacher().await, conversion(&service).await);
    let watch = async |client: &Client| {
        let request = WatchConversionRequest { uuid: uuid.clone(), ..Default::default() };
        client.conversions().watch_conversion(request).await.map(tonic::Response::into_inner)
    };
    let (first, second) = (watch(&teacher).await.unwrap(), watch(&teacher).await.unwrap());
    let refused = watch(&teacher).await.map(|_| ()).unwrap_err();
    assert_exceeded(&refused, "watches", true);
    let _other = watch(&service.client("key:verifier").await).await.unwrap();

    drop(first);
    let third = Mutex::new(None);
    until("its slot is released", async || {
        let stream = watch(&teacher).await;
        if let Err(refused) = &stream {
            assert_exceeded(refused, "watches", true);
        }
        *third.lock().unwrap() = stream.ok();
        third.lock().unwrap().is_some()
    })
    .await;
    let third = third.into_inner().unwrap().unwrap();
    let refused = watch(&teacher).await.map(|_| ()).unwrap_err();
    assert_exceeded(&refused, "watches", true);
    // A watch that ends by itself releases its slot too.
    for mut stream in [second, third] {
        let request = CancelConversionRequest { uuid: uuid.clone(), ..Default::default() };
        let _ = teacher.conversions().cancel_conversion(request).await;
        while stream.message().await.unwrap().is_some() {}
    }
    watch(&teacher).await.unwrap();
}

async fn conversion(service: &TestService) -> String {
    let format = Format::DynamicFormat(DynamicFormat::default());
    let request = StartConversionRequest {
        resource: "https://example.com/slides.pptx".into(),
        format: Some(format),
        ..Default::default()
    };
    let started = service.teacher().await.conversions().start_conversion(request).await.unwrap();
    started.into_inner().conversion.unwrap().uuid
}

/// Row 32 of the fault cases, on the two cores that tests have: the factor is lenient and so is the
/// floor, because a scheduler's pause is longer than a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_s_flood_is_refused_and_does_not_slow_the_other() {
    let service = TestService::start(&policy("tokens_per_second = 100, burst = 100")).await;
    let quiet = p90(&service.client("key:verifier").await).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (allowed, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (teacher, stop) = (service.teacher().await, stop.clone());
        let (allowed, refused) = (allowed.clone(), refused.clone());
        flood.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // Several at a time, so that even a slow machine asks for more than a hundred a second.
                match batch(&teacher, vec![room("r", Role::Writer); 25]).await {
                    Ok(_) => allowed.fetch_add(25, Ordering::Relaxed),
                    Err(status) => {
                        assert_exceeded(&status, "tokens_per_second", true);
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        });
    }
    until("the flood is refused", async || refused.load(Ordering::Relaxed) >= 100).await;
    let flooded = p90(&service.client("key:verifier").await).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
    let most = 100.0 * (began.elapsed().as_secs_f64() + 1.0);
    let allowed = allowed.load(Ordering::Relaxed);
    assert!(f64::from(u32::try_from(allowed).unwrap()) <= most + 1.0, "{allowed} of {most} were allowed");
    assert!(flooded <= 5 * quiet + Duration::from_millis(100), "{flooded:?}, and {quiet:?} without a flood");
}

/// Of a caller that stays within its quota: fifty calls a second, none refused.
async fn p90(client: &Client) -> Duration {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut times = Vec::new();
    for _ in 0..100 {
        ticks.tick().await;
        let began = Instant::now();
        issue(client, room("r", Role::Writer)).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    // The slowest few wait for the machine.
    times[89]
}
