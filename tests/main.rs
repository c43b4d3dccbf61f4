//! inkpass, tested from outside: real sockets, real HTTP, the emulator as upstream.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod architecture;
mod caller;
mod command_line;
mod emulator;
mod helpers;
mod identity;
mod reload;
mod policy;
mod rpc;
mod server;
mod settings;
mod telemetry;
mod token;
mod upstream_calls;
mod wire;
