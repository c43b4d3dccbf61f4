//! inkpass: one gRPC service that holds the Agora Interactive Whiteboard keys.
//!
//! # Public API
//! - [`token`], with [`clock`] and [`region`]: the signer and the verifier. They need no feature.
//! - `proto` (feature `proto`): the messages and services of `inkpass.v1`.
//! - `client` (feature `client`): the typed client.
//! - `emulator` (feature `emulator`): a whiteboard API for an application's own tests.
//!
//! All other modules are the service itself. They are public for its tests, and may change in any
//! release.

pub mod clock;
pub mod hex;
mod names;
pub mod region;
pub mod token;

#[cfg(any(feature = "client", feature = "server"))]
mod error_chain;
#[cfg(feature = "server")]
mod json_line;
#[cfg(any(feature = "client", feature = "server"))]
mod loopback;

#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "emulator")]
pub mod entropy;

#[cfg(any(feature = "client", feature = "server"))]
pub mod codec;
#[cfg(feature = "proto")]
pub mod proto;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "server")]
pub mod assembly;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod call;
#[cfg(feature = "server")]
pub mod caller;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod creation;
#[cfg(feature = "server")]
pub mod document;
#[cfg(feature = "server")]
pub mod error;
#[cfg(feature = "server")]
mod file;
#[cfg(feature = "server")]
mod flood;
#[cfg(feature = "server")]
pub mod idempotency;
#[cfg(feature = "server")]
pub mod issuing;
#[cfg(feature = "server")]
pub mod keyring;
#[cfg(feature = "server")]
pub mod live_settings;
#[cfg(feature = "server")]
mod memory_limit;
#[cfg(feature = "server")]
pub mod methods;
#[cfg(feature = "server")]
pub mod outgoing;
#[cfg(feature = "server")]
mod own_thread;
#[cfg(feature = "server")]
mod pem;
#[cfg(feature = "server")]
mod per_principal;
#[cfg(feature = "server")]
pub mod policy;
#[cfg(feature = "server")]
pub mod principal;
#[cfg(feature = "server")]
mod rate_limiter;
#[cfg(feature = "server")]
mod reason;
#[cfg(feature = "server")]
pub mod reload;
#[cfg(feature = "server")]
mod retry_after;
#[cfg(feature = "server")]
pub mod rpc;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod shares;
#[cfg(feature = "server")]
pub mod stability;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
mod tally;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
mod turn;
#[cfg(feature = "server")]
pub mod watcher;
#[cfg(feature = "server")]
pub mod whiteboard;

#[cfg(feature = "cli")]
pub mod cli;
