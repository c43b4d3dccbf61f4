//! The names of callers, and one grammar for them: what authenticates a caller makes a
//! [`Principal`], and what a policy grants is granted to a [`Pattern`] of principals.
//!
//! Names are compared byte for byte and never normalised. Two spellings of one name would be two
//! principals, so all but one are refused.

mod name;
mod pattern;
mod spiffe;

pub(crate) use self::{
    name::is_issuer_name,
    pattern::{MAX_PREFIX_SLASHES, prefixes},
    spiffe::{is_trust_domain, trust_domain},
};
pub use self::{
    name::{NotAPrincipal, Principal},
    pattern::{NotAPattern, Pattern},
};
