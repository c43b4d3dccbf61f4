//! Who may mint what, without a server: the file, the decision, quotas, reloads.

mod decisions;
mod file;
mod model;
mod quotas;
mod random;
mod reload;

use inkpass::{
    policy::{Mint, Rules},
    token::{Kind, Lifetime, Role},
};

/// The contract's own example.
pub(crate) const CLASSROOM: &str = r#"[[grants]]
name = "classroom"
principals = ["k8s:classroom/*", "spiffe://example.org/ns/classroom/sa/api", "key:billing"]
rpcs = ["inkpass.v1.TokenService/IssueToken", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv", "eu"]
tokens = [{ kind = "room", strongest_role = "writer", default_ttl = "1h", max_ttl = "24h", permanent = false }]
quota = { tokens_per_second = 100, burst = 2000, upstream_per_second = 20, watches = 10 }
[[tests]]
principal = "k8s:classroom/api"
rpc = "inkpass.v1.TokenService/IssueToken"
kind = "room"
role = "admin"
expect = "POLICY_DENIED"
"#;

/// A policy without a mistake.
#[track_caller]
pub(crate) fn rules(text: &str) -> Rules {
    Rules::parse(text, None, None).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"))
}

#[expect(clippy::unnecessary_wraps, reason = "as an `AccessRequest` has it")]
pub(crate) fn mint(kind: Kind, role: Role, lifetime: Option<Lifetime>) -> Option<Mint> {
    Some(Mint { kind, role, lifetime })
}

#[expect(clippy::unnecessary_wraps, reason = "as a `Mint` has it")]
pub(crate) fn seconds(seconds: u64) -> Option<Lifetime> {
    Some(Lifetime::ttl(std::time::Duration::from_secs(seconds)).unwrap())
}
