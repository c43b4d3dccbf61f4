//! What a principal may do: the policy file's grants, the decision, and quotas.
//!
//! It knows no gRPC, no keys and no clock: a principal and a project are text, time is handed in.
//! The file's form and the rules in words: docs/policy.md.

mod bucket;
mod compile;
mod file;
mod grant;
mod limits;
mod live;
mod meter;
mod principal;
mod principals;
mod quota;
mod rules;
mod table;

pub use self::{
    file::{Example, KnownProjects, mint_of, region_fits},
    grant::{Ask, Denial, Everyone, Grant, Mint, Missing},
    live::{LiveRules, PolicyFile},
    meter::WatchPlace,
    quota::{Limit, Quota, QuotaExceeded, charge_batch},
    rules::{Admitted, Decision, Rules, Verifiable},
};
