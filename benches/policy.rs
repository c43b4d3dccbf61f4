//! What a decision costs: `cargo bench --bench policy`.
//!
//! The file grows, and so does the number of its grants that name the caller. Half of those name it
//! in full and half by a wildcard, and they are spread over the file. Each figure is the best of
//! several rounds, which is the least disturbed one. It uses no crate for that, so that anyone can
//! run it.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use inkpass::{
    methods::Rpc,
    policy::{AccessRequest, Mint, Rules},
    region::Region,
    token::{Kind, Lifetime, Role},
};

const ROUNDS: u32 = 20;
const CALLS: u32 = 20_000;
const CALLER: &str = "k8s:team/api";

fn main() {
    println!("nanoseconds a decision");
    println!("of the caller   of the file   first allows   last allows   last creates   none allows");
    for own in [1, 5, 10, 20, 100] {
        for grants in [10, 1_000, 10_000].into_iter().filter(|grants| *grants >= own) {
            let begin = Instant::now();
            let rules = Rules::parse(&policy(grants, own), None, None).unwrap();
            let loaded = begin.elapsed();
            let longest = Lifetime::ttl(max_ttl(own - 1)).unwrap();
            let first = request(Rpc::IssueToken, Role::Writer, None);
            let last = request(Rpc::IssueToken, Role::Writer, Some(longest));
            let create = request(Rpc::CreateRoom, Role::Writer, Some(longest));
            let denied = request(Rpc::IssueToken, Role::Admin, None);
            println!(
                "{own:>13} {grants:>13} {:>14} {:>13} {:>14} {:>13}   read in {loaded:.0?}",
                measure(|| rules.decide(CALLER, &first).is_ok()),
                measure(|| rules.decide(CALLER, &last).is_ok()),
                measure(|| rules.decide(CALLER, &create).is_ok()),
                measure(|| rules.decide(CALLER, &denied).is_err()),
            );
        }
    }
    println!("nanoseconds to charge a quota: {}", charge());
}

/// Each grant of the caller allows a longer lifetime than those before it, so none is superfluous.
fn max_ttl(nth: u32) -> Duration {
    Duration::from_secs(3600 + u64::from(nth))
}

/// `own` of the grants name the caller.
fn policy(grants: u32, own: u32) -> String {
    let (mut text, mut nth) = (String::new(), 0);
    for index in 0..grants {
        let is_own = index * own / grants >= nth && nth < own;
        let team = if is_own { "team".to_owned() } else { format!("team-{index}") };
        let account = if nth % 2 == 0 { "api" } else { "*" };
        let ttl = max_ttl(nth).as_secs();
        nth += u32::from(is_own);
        let _ = writeln!(
            text,
            r#"[[grants]]
name = "grant-{index}"
principals = ["k8s:{team}/{account}", "spiffe://example.org/ns/{team}/sa/api"]
rpcs = ["inkpass.v1.TokenService/IssueToken", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv", "eu"]
tokens = [{{ kind = "room", strongest_role = "writer", default_ttl = "1h", max_ttl = "{ttl}s" }}]
quota = {{ tokens_per_second = 1000000, burst = 1000000 }}"#
        );
    }
    text
}

fn request(rpc: Rpc, role: Role, lifetime: Option<Lifetime>) -> AccessRequest<'static> {
    let mint = Some(Mint { kind: Kind::Room, role, lifetime });
    AccessRequest { rpc, project: "default", region: Some(Region::Eu), mint }
}

fn charge() -> u128 {
    let rules = Rules::parse(&policy(1, 1), None, None).unwrap();
    let (grant, start, mut calls) = (&rules.grants()[0], Instant::now(), 0);
    measure(|| {
        calls += 1;
        grant.charge(CALLER, Rpc::IssueToken.cost(1), start + Duration::from_micros(calls)).is_ok()
    })
}

fn measure(mut call: impl FnMut() -> bool) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..CALLS {
            assert!(black_box(call()));
        }
        best = best.min(begin.elapsed().as_nanos() / u128::from(CALLS));
    }
    best
}
