//! How a call can end other than well, whichever service it is of.
//!
//! An [`Error`] is taken apart in one place, [`Error::explain`]. What leaves the process, what the
//! audit trail says and what docs/errors.md says are made from that.

mod explain;
mod types;

pub use self::{
    explain::{Detail, Explanation, Retry},
    types::{Error, FoundBy, Withheld},
};
pub use crate::reason::{Actor, Reason, ReasonRow, RepeatAdvice};
