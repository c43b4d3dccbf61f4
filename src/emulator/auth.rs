//! Who calls: the `token` and `region` headers, judged as the vendor judges them.
//!
//! Which permission a call needs is not decided here: see [`super::calls`].

use std::sync::Arc;

use axum::http::HeaderMap;

use super::{
    answer::Failure,
    calls::Call,
    world::{Place, World},
};
use crate::{
    region::Region,
    token::{Kind, Permission, Presented, Role, SigningKey, TokenError, Wanted, verify},
};

/// The region of a call that names none: the vendor's own default.
pub(super) const DEFAULT_REGION: Region = Region::CnHz;

/// A caller whose token permits the call.
pub(super) struct Caller {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) key: Arc<SigningKey>,
}

impl Caller {
    /// Reads and judges the headers. A room or task in the path binds a Room or Task token.
    pub(super) fn identify(world: &World, call: &Call, permission: Permission) -> Result<Self, Failure> {
        let token = header(&call.headers, "token").ok_or(TokenError::Malformed)?;
        let token = Presented::parse(token)?;
        let known = world.active_key(token.access_key());
        let wanted = Wanted {
            permission: Some(permission),
            mint_role: None,
            room: call.parameter("room"),
            task: call.parameter("task"),
        };
        verify(&token, known.map(|(_, key)| &**key), call.now, &wanted)?;
        let (project, key) = known.ok_or(TokenError::Team)?;
        let place = Place { project, region: region(&call.headers)? };
        Ok(Self { place, kind: token.kind(), role: token.role(), key: Arc::clone(key) })
    }

    /// Whether the token may open what `access_key` created: see [`super::Settings::same_key`].
    pub(super) fn opens(&self, access_key: &str, same_key: bool) -> bool {
        !same_key || self.kind == Kind::Sdk || self.key.access_key() == access_key
    }
}

/// The region that the call names, or the default one.
pub(super) fn region(headers: &HeaderMap) -> Result<Region, Failure> {
    if !headers.contains_key("region") {
        return Ok(DEFAULT_REGION);
    }
    let name = header(headers, "region").unwrap_or_default();
    name.parse().map_err(|error| Failure::invalid(format!("region {error}")))
}

/// A header's value, if it is there and is text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
