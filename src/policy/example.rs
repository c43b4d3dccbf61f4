//! One of a policy file's examples: a request, and what is expected of it.

use super::grant::Mint;
use crate::{methods::Rpc, principal::Principal, region::Region};

/// A table of `[[tests]]`.
#[derive(Clone, Debug)]
pub struct Example {
    /// The line of the file that it begins on.
    pub line: usize,
    pub(super) principal: Principal,
    pub(super) project: String,
    pub(super) rpc: Rpc,
    pub(super) region: Option<Region>,
    pub(super) mint: Option<Mint>,
    /// `allow`, or the reason of a denial.
    pub(super) expect: &'static str,
}
