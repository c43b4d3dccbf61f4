//! From an RPC to its handler.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::{
    body::Body,
    codegen::{BoxFuture, Service, StdError},
};

use super::{
    batch, conversions::Conversions, rooms::Rooms, scenes::Scenes, services::Services, tokens::Tokens,
};
use crate::{
    methods::Rpc,
    proto::{
        conversion_service_server::ConversionServiceServer, room_service_server::RoomServiceServer,
        scene_service_server::SceneServiceServer, token_service_server::TokenServiceServer,
    },
};

/// The longest answer, in bytes: what a caller's gRPC library takes unless it is told otherwise. The longest
/// that can be asked for, a batch of a thousand tokens, is below 2 MiB, and what the upstream
/// answers is at most 1 MiB.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The four services of `inkpass.v1`.
pub struct Routes {
    tokens: TokenServiceServer<Tokens>,
    batches: Arc<Tokens>,
    rooms: RoomServiceServer<Rooms>,
    scenes: SceneServiceServer<Scenes>,
    conversions: ConversionServiceServer<Conversions>,
}

impl Routes {
    /// With what the handlers share.
    #[must_use]
    pub fn new(services: &Arc<Services>) -> Self {
        let tokens = Arc::new(Tokens::new(services.authorizer.clone()));
        Self {
            tokens: TokenServiceServer::from_arc(tokens.clone()).max_encoding_message_size(LONGEST_ANSWER),
            batches: tokens,
            rooms: RoomServiceServer::new(Rooms(services.clone())).max_encoding_message_size(LONGEST_ANSWER),
            scenes: SceneServiceServer::new(Scenes(services.clone()))
                .max_encoding_message_size(LONGEST_ANSWER),
            conversions: ConversionServiceServer::new(Conversions(services.clone()))
                .max_encoding_message_size(LONGEST_ANSWER),
        }
    }

    /// Hands a call to its handler. A request that is larger than its RPC's row says is refused before it is decoded.
    pub fn call<B>(&self, rpc: Rpc, request: Request<B>) -> BoxFuture<Response<Body>, Infallible>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let largest = rpc.row().largest_request;
        match rpc {
            Rpc::BatchIssueTokens => batch::call(self.batches.clone(), LONGEST_ANSWER, request),
            Rpc::IssueToken | Rpc::VerifyToken => {
                self.tokens.clone().max_decoding_message_size(largest).call(request)
            }
            Rpc::CreateRoom | Rpc::GetRoom | Rpc::ListRooms | Rpc::DisableRoom | Rpc::EnableRoom => {
                self.rooms.clone().max_decoding_message_size(largest).call(request)
            }
            Rpc::ListScenes
            | Rpc::AddScenes
            | Rpc::SwitchScene
            | Rpc::CaptureScene
            | Rpc::CaptureSceneDir => self.scenes.clone().max_decoding_message_size(largest).call(request),
            Rpc::StartConversion
            | Rpc::GetConversion
            | Rpc::WatchConversion
            | Rpc::ListPendingConversions
            | Rpc::CancelConversion
            | Rpc::PrioritizeConversion => {
                self.conversions.clone().max_decoding_message_size(largest).call(request)
            }
        }
    }
}
