//! Keys that rotate under 2,000 calls a second for a minute: row 38 of the fault cases.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use inkpass::{
    client::Client,
    clock::{Clock, SystemClock},
    proto::{IssueTokenRequest, Role, RoomScope, Token, issue_token_request::Scope},
    token::{Presented, SigningKey, Wanted, verify},
};
use tokio::{task::JoinSet, time::interval};
use tonic::Status;

use super::{
    POLICY, issue,
    program::{ACCEPTED, Files, Program},
    room, until,
};
use crate::helpers::key;

const CALLS_PER_SECOND: usize = 2000;
const SECONDS: usize = 60;

/// How often they are sent.
const TICK: Duration = Duration::from_millis(5);

/// How long a key signs before the next replaces it.
const PERIOD: Duration = Duration::from_secs(4);

/// How many connections they come by.
const CALLERS: usize = 4;

/// The access key of a generation.
fn access_key(generation: usize) -> &'static str {
    ACCEPTED[generation % ACCEPTED.len()]
}

/// The Secret of a generation: an active key and two retiring ones.
fn secret(generation: usize) -> [Files; 3] {
    [0, 1, 2].map(|age| Files::of(access_key(ACCEPTED.len() + generation - age)))
}

struct Call {
    /// The newest generation that any answer was signed with, as the call was made.
    known: usize,
    /// The access key that it named.
    named: Option<&'static str>,
    answer: Result<Token, Status>,
    took: Duration,
}

/// Every fourth call names a key: the one that signs, and the one before it, in turn.
async fn call(client: Client, number: usize, newest: Arc<AtomicUsize>) -> Call {
    let (known, began) = (newest.load(Ordering::SeqCst), Instant::now());
    let named = number.is_multiple_of(4).then(|| access_key(ACCEPTED.len() + known - number / 4 % 2));
    let scope = RoomScope { uuid: "a-room".to_owned(), access_key: named.unwrap_or_default().to_owned() };
    let request = IssueTokenRequest { scope: Some(Scope::Room(scope)), ..room("a-room", Role::Reader) };
    let answer = issue(&client, request).await;
    let took = began.elapsed();
    if let Ok(token) = &answer
        && named.is_none()
        && token.access_key == access_key(known + 1)
    {
        newest.fetch_max(known + 1, Ordering::SeqCst);
    }
    Call { known, named, answer, took }
}

/// Checks that the one right key signed it.
fn check(call: &Call, keys: &[SigningKey]) {
    let token = call.answer.as_ref().unwrap();
    let presented = Presented::parse(&token.value).unwrap();
    let verifies =
        |key: &&SigningKey| verify(&presented, Some(key), SystemClock.now(), &Wanted::default()).is_ok();
    let signers: Vec<_> = keys.iter().filter(verifies).map(SigningKey::access_key).collect();
    assert_eq!(signers, [&*token.access_key], "it verifies with one key, which it names");
    if let Some(named) = call.named {
        assert_eq!(token.access_key, named, "what names a key is signed by it");
        return;
    }
    let possible = [access_key(call.known), access_key(call.known + 1)];
    assert!(possible.contains(&&*token.access_key), "{} after {}", token.access_key, possible[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes a minute and wants an optimised program: just rotation"]
async fn keys_that_rotate_under_two_thousand_calls_a_second_fail_none() {
    let program = Program::with(POLICY, "try_new_keys = true", "deny", &secret(0)).await;
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        clients.push(program.client("key:teacher").await);
    }
    let newest = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn({
        let newest = newest.clone();
        async move {
            let (mut calls, mut ticks) = (JoinSet::new(), interval(TICK));
            let each = CALLS_PER_SECOND * usize::try_from(TICK.as_millis()).unwrap() / 1000;
            for number in 0..SECONDS * CALLS_PER_SECOND {
                if number.is_multiple_of(each) {
                    ticks.tick().await;
                }
                calls.spawn(call(clients[number % CALLERS].clone(), number, newest.clone()));
            }
            calls.join_all().await
        }
    });

    let (mut swaps, mut slowest) = (0, Duration::ZERO);
    while !load.is_finished() {
        tokio::time::sleep(PERIOD).await;
        if load.is_finished() {
            break;
        }
        swaps += 1;
        program.mount(&format!("..swap{swaps}"), &secret(swaps));
        let swapped = Instant::now();
        until("the new key signs", async || newest.load(Ordering::SeqCst) == swaps || load.is_finished())
            .await;
        slowest = slowest.max(swapped.elapsed());
    }
    let mut calls = load.await.unwrap();

    let failed: Vec<_> = calls.iter().filter_map(|call| call.answer.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {} failed, such as {:?}", failed.len(), calls.len(), failed[0]);
    let keys = ACCEPTED.map(key);
    for call in &calls {
        check(call, &keys);
    }
    assert_eq!(program.logged("files cannot be used"), 0);
    let trail = crate::audit::read_so_far(&program.path("audit.log"));
    assert_eq!(trail.len(), calls.len(), "each has its line");
    assert!(swaps >= 10, "{swaps} swaps");

    calls.sort_by_key(|call| call.took);
    let at = |percent: usize| calls[(calls.len() - 1) * percent / 100].took;
    println!(
        "rotation: {} calls at {CALLS_PER_SECOND} a second, {swaps} swaps of keys: 0 failed; p50 {:.1?}, p99 {:.1?}; \
         a new key signs after {:.1?} at most",
        calls.len(),
        at(50),
        at(99),
        slowest
    );
}
