//! inkpass, tested from outside: real sockets, real HTTP, the emulator as upstream.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod architecture;
mod audit;
mod caller;
mod canary;
mod command_line;
mod decisions;
mod emulator;
mod errors;
mod helpers;
mod identity;
mod keyring;
mod layers;
mod methods;
mod policy;
mod protos;
mod reload;
mod rpc;
mod server;
mod service_config;
mod settings;
mod stability;
mod store;
mod telemetry;
mod time_limits;
mod token;
mod upstream;
mod upstream_answers;
mod upstream_calls;
mod wire;
