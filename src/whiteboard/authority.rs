//! The weakest token that a call needs, by the permission table.

use super::access::PathUuid;
use crate::token::{Kind, Permission, Role, Scope};

/// The scope and role of a call's token.
#[derive(Clone, Copy)]
pub(super) struct Authority<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) role: Role,
}

impl<'a> Authority<'a> {
    /// The weakest token for a call that names no room or task. For constants only: a permission that
    /// is bound to a room or task fails the build.
    pub(super) const fn of(permission: Permission) -> Self {
        match permission.weakest_token() {
            (Kind::Sdk, role) => Self { scope: Scope::Sdk, role },
            (Kind::Room | Kind::Task, _) => panic!("needs a room or task"),
        }
    }

    /// The weakest token for a call that names a room or task.
    pub(super) const fn on(permission: Permission, uuid: PathUuid<'a>) -> Self {
        match permission.weakest_token() {
            (Kind::Sdk, role) => Self { scope: Scope::Sdk, role },
            (Kind::Room, role) => Self { scope: Scope::Room(uuid.0), role },
            (Kind::Task, role) => Self { scope: Scope::Task(uuid.0), role },
        }
    }

    /// At least this role.
    pub(super) fn at_least(self, role: Role) -> Self {
        Self { role: self.role.min(role), ..self }
    }
}
