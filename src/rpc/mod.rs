//! The gRPC edge: one file a service.
//!
//! A handler turns its request into domain types, makes one domain call, and turns the result
//! back. It knows no HTTP.

mod batch;
mod caller;
mod conversions;
mod convert;
mod desk;
mod explain;
mod failures;
mod house;
mod pages;
mod reason;
mod record;
mod rooms;
mod scenes;
mod start;
mod status;
mod target;
mod tokens;
mod violations;
mod watch;

use std::sync::Arc;

use tonic::service::{Routes, RoutesBuilder};

pub use self::{
    caller::Caller,
    desk::Desk,
    house::House,
    reason::Reason,
    status::{DOMAIN, Error},
    tokens::Tokens,
    watch::Deadline,
};
use crate::proto::{
    conversion_service_server::ConversionServiceServer, room_service_server::RoomServiceServer,
    scene_service_server::SceneServiceServer, token_service_server::TokenServiceServer,
};

const KIB: usize = 1024;

/// The longest answer: what a caller's gRPC library takes unless it is told otherwise. The longest
/// that can be asked for, a batch of a thousand tokens, is below 2 MiB, and what the upstream
/// answers is at most 1 MiB.
const LONGEST_ANSWER: usize = 4 * 1024 * KIB;

/// All services, with the limits of their messages: 64 KiB in, and more for a batch.
#[must_use]
pub fn services(house: &Arc<House>) -> Routes {
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(
            TokenServiceServer::new(Tokens::new(house.desk.clone()))
                .max_decoding_message_size(512 * KIB)
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            RoomServiceServer::new(rooms::Rooms(house.clone()))
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            SceneServiceServer::new(scenes::Scenes(house.clone()))
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(LONGEST_ANSWER),
        )
        .add_service(
            ConversionServiceServer::new(conversions::Conversions(house.clone()))
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(LONGEST_ANSWER),
        );
    routes.routes()
}
