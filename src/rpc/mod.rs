//! The gRPC edge: one file a service.
//!
//! A handler turns its request into domain types, makes one domain call, and turns the result
//! back. It knows no HTTP.

mod conversions;
mod convert;
mod rooms;
mod scenes;
mod status;
mod tokens;
mod violations;

use std::sync::Arc;

use tonic::service::{Routes, RoutesBuilder};

pub use self::{
    status::{DOMAIN, Error, Reason},
    tokens::Tokens,
};
use crate::{
    issuer::{Allowed, Grant, Issuer, Refusal},
    keyring::Project,
    proto::{
        Token, TokenGrant, conversion_service_server::ConversionServiceServer,
        room_service_server::RoomServiceServer, scene_service_server::SceneServiceServer,
        token_service_server::TokenServiceServer,
    },
    region::Region,
    token::{Kind, Scope, SigningKey, Uuid},
    whiteboard::{Access, Whiteboard},
};

/// What the services work with.
pub struct House {
    /// Mints and verifies.
    pub issuer: Arc<Issuer>,
    /// The upstream.
    pub whiteboard: Whiteboard,
}

/// The full names of all services.
pub const SERVICES: [&str; 4] = [
    "inkpass.v1.TokenService",
    "inkpass.v1.RoomService",
    "inkpass.v1.SceneService",
    "inkpass.v1.ConversionService",
];

const KIB: usize = 1024;

/// All services, with the limits of their messages: 64 KiB in and 256 KiB out, more where a batch
/// or a conversion of many pages needs it.
#[must_use]
pub fn services(house: &Arc<House>) -> Routes {
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(
            TokenServiceServer::new(Tokens::new(house.issuer.clone()))
                .max_decoding_message_size(512 * KIB)
                .max_encoding_message_size(1024 * KIB),
        )
        .add_service(
            RoomServiceServer::new(rooms::Rooms(house.clone()))
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(256 * KIB),
        )
        .add_service(
            SceneServiceServer::new(scenes::Scenes)
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(256 * KIB),
        )
        .add_service(
            ConversionServiceServer::new(conversions::Conversions(house.clone()))
                .max_decoding_message_size(64 * KIB)
                .max_encoding_message_size(1024 * KIB),
        );
    routes.routes()
}

/// What a creating call was allowed to do, before anything is sent.
struct Permit<'a> {
    key: &'a Arc<SigningKey>,
    region: Region,
    grant: Option<Allowed>,
}

impl House {
    /// Decides a creating call: project, grant, key and region.
    fn permit(
        &self,
        project: &str,
        region: Option<Region>,
        grant: Option<Grant>,
    ) -> Result<Permit<'_>, Error> {
        let project = self.issuer.project(project)?;
        let grant = grant.map(|grant| self.issuer.decide(&grant)).transpose()?;
        let key = self.issuer.key(project, "")?;
        Ok(Permit { key, region: region_of(project, region)?, grant })
    }

    /// Signs the token that a creating call granted, for what it created.
    fn token_for(&self, permit: &Permit<'_>, kind: Kind, uuid: &str) -> Option<Token> {
        let uuid = Uuid::new(uuid)?;
        let scope = if kind == Kind::Room { Scope::Room(uuid) } else { Scope::Task(uuid) };
        let allowed = permit.grant?;
        let issued = self.issuer.sign(allowed, permit.key, scope, self.issuer.now());
        Some(convert::token(&issued, scope, allowed.role(), permit.key.access_key()))
    }
}

impl Permit<'_> {
    fn access(&self) -> Access<'_> {
        Access { key: self.key, region: self.region }
    }
}

/// The region asked for, or the project's default.
fn region_of(project: &Project, asked: Option<Region>) -> Result<Region, Error> {
    asked
        .or(project.region())
        .ok_or_else(|| Error::invalid("region", "is required: the project has no default region"))
}

/// A grant beside a creating call: its role and validity are read as `IssueToken`'s are.
fn grant(wanted: Option<&TokenGrant>, kind: Kind, violations: &mut violations::Violations) -> Option<Grant> {
    let wanted = wanted?;
    let role = convert::role(wanted.role, "token_grant.role", violations);
    let lifetime = convert::granted_lifetime(wanted.validity.as_ref(), violations);
    Some(Grant { kind, role: role?, lifetime: lifetime? })
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
