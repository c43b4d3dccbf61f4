//! What a decision costs with ten, a thousand and ten thousand grants: `cargo bench --bench policy`.
//!
//! Twice: each grant for callers of its own, and all of them for the same caller. Each figure is the
//! best of several rounds, which is the least disturbed one. It uses no crate for that, so that
//! anyone can run it.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use inkpass::{
    methods::Rpc,
    policy::{Ask, Mint, Rules},
    region::Region,
    token::{Kind, Lifetime, Role},
};

const ROUNDS: u32 = 20;
const CALLS: u32 = 20_000;

fn main() {
    println!("nanoseconds a decision              allowed   denied   with a region");
    for (what, alike) in [("each for callers of its own", false), ("all for the same caller", true)] {
        for grants in [10, 1_000, 10_000] {
            let begin = Instant::now();
            let rules = Rules::parse(&policy(grants, alike), None, None).unwrap();
            let compiled = begin.elapsed();
            let caller =
                if alike { "k8s:team/api".to_owned() } else { format!("k8s:team-{}/api", grants - 1) };
            let issue = ask(Rpc::IssueToken, Role::Writer, Some(longest(grants, alike)));
            let denied = ask(Rpc::IssueToken, Role::Admin, None);
            let create = ask(Rpc::CreateRoom, Role::Writer, None);
            println!(
                "{grants:>6} grants, {what:<28} {:>5} {:>8} {:>8}   compiled in {compiled:.0?}",
                measure(|| rules.decide(&caller, &issue).is_ok()),
                measure(|| rules.decide(&caller, &denied).is_err()),
                measure(|| rules.decide(&caller, &create).is_ok()),
            );
        }
    }
    println!("nanoseconds to charge a quota: {}", charge());
}

/// The ttl that only the last of grants for the same caller allows.
fn longest(grants: u32, alike: bool) -> Lifetime {
    let seconds = if alike { 3600 + grants - 1 } else { 3600 };
    Lifetime::ttl(Duration::from_secs(seconds.into())).unwrap()
}

/// None makes another one superfluous: where they are for the same caller, each allows a longer ttl.
fn policy(grants: u32, alike: bool) -> String {
    let mut text = String::new();
    for index in 0..grants {
        let team = if alike { "team".to_owned() } else { format!("team-{index}") };
        let longest = if alike { 3600 + index } else { 3600 };
        let _ = writeln!(
            text,
            r#"[[grants]]
name = "grant-{index}"
principals = ["k8s:{team}/*", "spiffe://example.org/ns/{team}/sa/api"]
rpcs = ["inkpass.v1.TokenService/IssueToken", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv", "eu"]
tokens = [{{ kind = "room", strongest_role = "writer", default_ttl = "1h", max_ttl = "{longest}s" }}]
quota = {{ tokens_per_second = 1000000, burst = 1000000 }}"#
        );
    }
    text
}

fn ask(rpc: Rpc, role: Role, lifetime: Option<Lifetime>) -> Ask<'static> {
    let mint = Some(Mint { kind: Kind::Room, role, lifetime });
    Ask { rpc, project: "default", region: Some(Region::Eu), mint }
}

fn charge() -> u128 {
    let rules = Rules::parse(&policy(1, true), None, None).unwrap();
    let (grant, start, mut calls) = (&rules.grants()[0], Instant::now(), 0);
    measure(|| {
        calls += 1;
        grant.charge("k8s:team/api", Rpc::IssueToken.cost(1), start + Duration::from_micros(calls)).is_ok()
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
