//! A Redis or Valkey that replicas share: `[store]`.
//!
//! It does two things, each by one script, so that nothing comes between its steps: it compares and swaps a value, and it
//! takes from a bucket. Every call has a limit of time, and fails after it; a new connection is made meanwhile.

mod address;
mod bucket;
mod client;
mod connection;
mod failure;
mod link;
mod loopback;

pub use self::{
    address::Address,
    bucket::{Fill, Taken},
    client::{Settings, Store, Swap, Swapped, Unavailable},
    link::LIMIT,
};
