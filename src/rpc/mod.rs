//! The gRPC edge: one file a service.
//!
//! A handler parses its request into domain types, makes one domain call, and turns the result back.
//! It knows no HTTP.

mod batch;
mod conversion_failures;
mod conversions;
mod describe;
mod pages;
mod parse;
mod rooms;
mod routes;
mod scenes;
mod services;
mod start_conversion;
mod status;
mod tokens;
mod vendor_json;
mod watch;

pub use self::{routes::Routes, services::Services, status::DOMAIN, tokens::Tokens};
