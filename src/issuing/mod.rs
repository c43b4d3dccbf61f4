//! Authorize, sign, record: the one way of every token, alone, in a batch or beside what is created.
//!
//! [`Authorizer::issue`] mints. [`Authorizer::authorize`] admits a call that goes upstream; a token
//! beside what it creates is authorized there and signed by [`Authorizer::sign`] once it exists. A refusal
//! of what is audited is written to the audit trail before it is told.

mod authorizer;
mod record;
mod trail;
mod types;
mod verify;

pub use self::{
    authorizer::Authorizer,
    record::{Made, Record},
    trail::Trail,
    types::{IssueParams, Issued, MintPermit, Minting, UpstreamParams, UpstreamPermit},
    verify::Verification,
};
