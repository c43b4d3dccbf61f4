//! Idempotency: a repeated call with the same `request_id` gets the first call's result.
//!
//! A result holds what was created, never a token. What keeps results is a trait with two forms: `memory.rs` holds
//! within this process, `in_store.rs` across replicas.

mod claim;
mod exchange;
mod in_store;
mod memory;
#[cfg(test)]
mod model;
mod room;
mod seal;
mod types;

pub use self::{
    in_store::InStore,
    memory::InMemory,
    types::{
        Arguments, CAPACITY, FirstResult, IdempotencyError, IdempotencyKey, IdempotencyStore, RETENTION,
        Replay,
    },
};
