//! Quotas, by a clock that is moved by hand.

use std::time::{Duration, Instant};

use inkpass::{
    methods::{Cost, Rpc},
    policy::{Limit, QuotaExceeded, charge_batch},
};

use super::{CLASSROOM, rules};

const SECOND: Duration = Duration::from_secs(1);

fn tokens(tokens: u32) -> Cost {
    Cost { tokens, ..Cost::default() }
}

fn what(charged: Result<inkpass::policy::WatchSlot, QuotaExceeded>) -> (Limit, Option<Duration>) {
    let exceeded = charged.unwrap_err();
    (exceeded.what, exceeded.retry_after)
}

/// Fault case 32.
#[test]
fn one_principal_that_floods_takes_nothing_from_another() {
    let rules = rules(CLASSROOM);
    let (grant, start) = (&rules.grants()[0], Instant::now());
    // The quota is 100 a second: one asks 5,000 times a second for 10 s, the other 100 times.
    let (mut flooded, mut refused, mut calm) = (0, 0, 0);
    for tick in 0..50_000 {
        let now = start + SECOND / 5000 * tick;
        match grant.charge("k8s:classroom/flood", tokens(1), now) {
            Ok(_) => flooded += 1,
            Err(exceeded) => {
                assert_eq!(
                    (exceeded.what, &*exceeded.grant, exceeded.allowed),
                    (Limit::TokensPerSecond, "classroom", 100)
                );
                assert!(
                    exceeded.retry_after.is_some_and(|wait| wait > Duration::ZERO && wait <= SECOND / 100)
                );
                refused += 1;
            }
        }
        if tick % 50 == 0 {
            calm += u32::from(grant.charge("k8s:classroom/calm", tokens(1), now).is_ok());
        }
    }
    assert_eq!(flooded, 2000 + 999, "the burst, and what came in since");
    assert_eq!((flooded + refused, calm), (50_000, 1000), "the other one never notices");
}

#[test]
fn a_batch_counts_all_of_its_tokens_and_waits_for_all_of_them() {
    let rules = rules(CLASSROOM);
    let (grant, now) = (&rules.grants()[0], Instant::now());
    let charge = |count, now| grant.charge("key:billing", tokens(count), now);
    assert!(charge(1500, now).is_ok());
    assert_eq!(
        what(charge(1000, now)),
        (Limit::TokensPerSecond, Some(5 * SECOND)),
        "nothing was taken for it"
    );
    assert!(charge(500, now).is_ok());
    assert_eq!(what(charge(1, now)), (Limit::TokensPerSecond, Some(SECOND / 100)));
    assert!(charge(100, now + SECOND).is_ok());
    assert_eq!(what(charge(2001, now + 1000 * SECOND)), (Limit::Burst, None), "waiting cannot help");
    assert!(charge(2000, now + 1000 * SECOND).is_ok());
}

#[test]
fn a_batch_over_several_grants_is_charged_to_all_of_them_or_none() {
    let small = CLASSROOM
        .replace("\"classroom\"", "\"small\"")
        .replace("burst = 2000", "burst = 5")
        .replace("[[tests]]", "[[none]]");
    let text = format!("{}{CLASSROOM}", &small[..small.find("[[none]]").unwrap()]);
    let rules = rules(&text);
    let (small, large, now) = (&*rules.grants()[0], &*rules.grants()[1], Instant::now());
    let batch = |smalls, larges| {
        let grants: Vec<_> = [vec![large; larges], vec![small; smalls]].concat();
        charge_batch("key:billing", &grants, now)
    };
    let exceeded = batch(6, 2000).unwrap_err();
    assert_eq!((&*exceeded.grant, exceeded.what, exceeded.retry_after), ("small", Limit::Burst, None));
    assert_eq!(batch(4, 2001).unwrap_err().what, Limit::Burst);
    assert_eq!(batch(5, 2000), Ok(()), "what was refused took nothing");
    assert_eq!(batch(1, 0).unwrap_err().retry_after, Some(SECOND / 100));
}

#[test]
fn upstream_calls_and_watches_have_limits_of_their_own() {
    let rules = rules(CLASSROOM);
    let (grant, now) = (&rules.grants()[0], Instant::now());
    let charge = |cost, now| grant.charge("key:billing", cost, now);
    for _ in 0..20 {
        assert!(charge(Rpc::GetRoom.cost(0), now).is_ok());
    }
    assert_eq!(what(charge(Rpc::GetRoom.cost(0), now)), (Limit::UpstreamPerSecond, Some(SECOND / 20)));
    // A creation that may not go upstream gives back its tokens.
    assert_eq!(what(charge(Rpc::CreateRoom.cost(1), now)), (Limit::UpstreamPerSecond, Some(SECOND / 20)));
    assert!(charge(tokens(2000), now).is_ok());

    let mut places = Vec::new();
    for _ in 0..10 {
        places.push(charge(Rpc::WatchConversion.cost(0), now + SECOND).unwrap());
    }
    assert_eq!(what(charge(Rpc::WatchConversion.cost(0), now + SECOND)), (Limit::Watches, Some(SECOND)));
    places.pop();
    places.push(charge(Rpc::WatchConversion.cost(0), now + SECOND).unwrap());
    // 11 of 20 upstream calls: a watch that finds no place takes none.
    for _ in 0..9 {
        assert!(charge(Rpc::GetRoom.cost(0), now + SECOND).is_ok());
    }
    assert!(charge(Rpc::GetRoom.cost(0), now + SECOND).is_err());
    assert!(grant.charge("key:other", Rpc::WatchConversion.cost(0), now + SECOND).is_ok());
}

#[test]
fn a_call_that_stays_here_and_mints_nothing_costs_nothing() {
    let rules = rules(CLASSROOM);
    let (grant, now) = (&rules.grants()[0], Instant::now());
    for _ in 0..5000 {
        assert!(grant.charge("key:billing", Rpc::VerifyToken.cost(0), now).is_ok());
    }
}

#[test]
fn without_a_quota_nothing_is_counted() {
    let rules =
        rules(&CLASSROOM.lines().filter(|line| !line.starts_with("quota")).collect::<Vec<_>>().join("\n"));
    let (grant, now) = (&rules.grants()[0], Instant::now());
    assert_eq!(grant.quota(), None);
    assert!(
        grant.charge("key:billing", Cost { tokens: u32::MAX, upstream: u32::MAX, watch: true }, now).is_ok()
    );
}

#[test]
fn many_at_once_get_what_one_would() {
    let rules = rules(CLASSROOM);
    let (grant, now) = (&rules.grants()[0], Instant::now());
    let charged: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..1000).filter(|_| grant.charge("key:billing", tokens(1), now).is_ok()).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(charged, 2000);
}
