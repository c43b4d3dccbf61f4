//! Authentication: the `token` and `region` headers, verified as the vendor verifies them.
//!
//! The table in [`super::handlers`] says which permission a call needs.

use std::sync::Arc;

use super::{
    answer::ApiError,
    call::Call,
    headers::{header, region},
    world::{PartitionKey, World},
};
use crate::token::{Kind, Permission, Presented, Role, SigningKey, TokenError, Wanted, verify};

/// A caller whose token permits the call.
pub(super) struct Caller {
    pub(super) partition_key: PartitionKey,
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) key: Arc<SigningKey>,
}

impl Caller {
    /// Reads and verifies the headers. A room or task in the path binds a Room or Task token.
    pub(super) fn identify(world: &World, call: &Call, permission: Permission) -> Result<Self, ApiError> {
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
        let partition_key = PartitionKey { project, region: region(&call.headers)? };
        Ok(Self { partition_key, kind: token.kind(), role: token.role(), key: Arc::clone(key) })
    }

    /// Whether the token may open what `access_key` created: see `Settings::same_key`.
    pub(super) fn opens(&self, access_key: &str, same_key: bool) -> bool {
        !same_key || self.kind == Kind::Sdk || self.key.access_key() == access_key
    }
}
