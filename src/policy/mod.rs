//! Authorization: the grants of the policy file, the decision, and quotas.
//!
//! It knows no gRPC, no keys and no clock: principals and projects are names, time is a parameter.
//! docs/policy.md has the file's format and the rules in words.

mod charge;
mod file;
mod grant;
mod index;
mod limits;
mod live;
mod per_principal;
mod quota;
mod rules;

pub use self::{
    charge::charge_batch,
    file::{Example, KnownProjects, mint_of, region_fits},
    grant::{AccessRequest, Denial, Everyone, Grant, Mint, MissingRight},
    live::{LiveRules, PolicyFile},
    quota::{Limit, Quota, QuotaExceeded, WatchSlot},
    rules::{Admitted, Decision, Rules, Verifiable},
};
