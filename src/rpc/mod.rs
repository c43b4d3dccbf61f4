//! The gRPC edge: one file a service.
//!
//! A handler parses its request into domain types, makes one domain call, and turns the result back.
//! It knows no HTTP.

mod conversion_failures;
mod conversions;
mod describe;
mod pages;
mod parse;
mod rooms;
mod scenes;
mod services;
mod start_conversion;
mod status;
mod tokens;
mod watch;

use std::sync::Arc;

use tonic::service::{Routes, RoutesBuilder};

pub use self::{services::Services, status::DOMAIN, tokens::Tokens};
use crate::{
    methods::Rpc,
    proto::{
        conversion_service_server::{self, ConversionServiceServer},
        room_service_server::{self, RoomServiceServer},
        scene_service_server::{self, SceneServiceServer},
        token_service_server::{self, TokenServiceServer},
    },
};

/// The longest answer, in bytes: what a caller's gRPC library takes unless it is told otherwise. The longest
/// that can be asked for, a batch of a thousand tokens, is below 2 MiB, and what the upstream
/// answers is at most 1 MiB.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The largest request of a service, in bytes: that of its rows, because tonic limits a service.
fn largest_request(service: &str) -> usize {
    let rpcs = Rpc::ALL.into_iter().filter(|rpc| rpc.service() == service);
    rpcs.map(|rpc| rpc.row().largest_request).max().unwrap_or_default()
}

/// All services, with the limits of their messages.
#[must_use]
pub fn routes(services: &Arc<Services>) -> Routes {
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(
            TokenServiceServer::new(Tokens::new(services.authorizer.clone()))
                .max_decoding_message_size(largest_request(token_service_server::SERVICE_NAME))
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            RoomServiceServer::new(rooms::Rooms(services.clone()))
                .max_decoding_message_size(largest_request(room_service_server::SERVICE_NAME))
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            SceneServiceServer::new(scenes::Scenes(services.clone()))
                .max_decoding_message_size(largest_request(scene_service_server::SERVICE_NAME))
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            ConversionServiceServer::new(conversions::Conversions(services.clone()))
                .max_decoding_message_size(largest_request(conversion_service_server::SERVICE_NAME))
                .max_encoding_message_size(LONGEST_ANSWER),
        );
    routes.routes()
}
