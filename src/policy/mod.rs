//! Authorization: the grants of the policy file, the decision, and quotas.
//!
//! It knows no gRPC, no keys and no clock: principals and projects are names, time is a parameter.
//! docs/policy.md has the file's format and the rules in words.

mod example;
mod file;
mod grant;
mod index;
mod limits;
mod quota;
mod reload;
mod rules;
mod shared;

pub use self::{
    example::Example,
    file::{KnownProjects, mint_of, region_fits},
    grant::{AccessRequest, Denial, Everyone, Grant, Mint, MissingRight},
    quota::{Limit, Quota, QuotaExceeded, WatchSlot},
    reload::{PolicyFile, replace},
    rules::{Admitted, Allowed, Rules, Verifiable, charge_batch, charge_batch_shared},
    shared::SharedQuotas,
};
