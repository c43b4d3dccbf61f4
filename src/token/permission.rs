//! The vendor's permission tables, as data. It has three users: the verifier's verdicts, the
//! REST client's choice of the weakest token that a call needs, and the emulator's enforcement.
//! Source: "Secure authentication with tokens", the tables of SDK, Room and Task tokens.

use super::claims::{Kind, Role};

/// What a token may permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Create a room.
    CreateRoom,
    /// Join a room in interactive mode.
    JoinInteractive,
    /// Join a room in read-only mode.
    JoinReadOnly,
    /// List a project's rooms.
    ListRooms,
    /// Get a room's information.
    GetRoom,
    /// Disable a room, or enable it again.
    DisableRoom,
    /// Take a screenshot of a scene.
    CaptureScene,
    /// Take screenshots of a scene directory.
    CaptureSceneDir,
    /// List the scene paths of a room.
    ListScenes,
    /// Add a scene to a room.
    AddScene,
    /// Switch a room to a scene.
    SwitchScene,
    /// Start, list, cancel and prioritize file conversions.
    StartConversion,
    /// Mint a Room token of an equal or weaker role.
    MintRoomToken,
    /// Mint a Task token of an equal or weaker role.
    MintTaskToken,
    /// Query the progress of a file conversion.
    GetConversion,
}

/// What the tables say of a permission and a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token permits it.
    Allowed,
    /// Another role of this kind would.
    RoleForbidden,
    /// No token of this kind does.
    KindForbidden,
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Roles(&'static [Role]);

const NONE: Roles = Roles(&[]);
const ADMIN: Roles = Roles(&[Role::Admin]);
const WRITERS: Roles = Roles(&[Role::Admin, Role::Writer]);
const READER: Roles = Roles(&[Role::Reader]);
const EVERY: Roles = Roles(&Role::ALL);

struct Row(Permission, [Roles; 3]);

/// A row a permission; the columns are SDK, Room and Task tokens.
#[rustfmt::skip]
const TABLE: [Row; 15] = [
    //                                 SDK      Room     Task
    Row(Permission::CreateRoom,      [WRITERS, NONE,    NONE]),
    Row(Permission::JoinInteractive, [WRITERS, WRITERS, NONE]),
    Row(Permission::JoinReadOnly,    [READER,  READER,  NONE]),
    Row(Permission::ListRooms,       [WRITERS, NONE,    NONE]),
    Row(Permission::GetRoom,         [WRITERS, WRITERS, NONE]),
    Row(Permission::DisableRoom,     [ADMIN,   ADMIN,   NONE]),
    Row(Permission::CaptureScene,    [WRITERS, WRITERS, NONE]),
    Row(Permission::CaptureSceneDir, [WRITERS, WRITERS, NONE]),
    Row(Permission::ListScenes,      [WRITERS, WRITERS, NONE]),
    Row(Permission::AddScene,        [WRITERS, WRITERS, NONE]),
    Row(Permission::SwitchScene,     [WRITERS, WRITERS, NONE]),
    Row(Permission::StartConversion, [WRITERS, NONE,    NONE]),
    Row(Permission::MintRoomToken,   [EVERY,   NONE,    NONE]),
    Row(Permission::MintTaskToken,   [EVERY,   NONE,    NONE]),
    Row(Permission::GetConversion,   [EVERY,   NONE,    EVERY]),
];

impl Permission {
    /// All permissions, in the tables' order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Whether a token of this kind and role permits it. The room, the task and the role to mint are not
    /// checked here.
    #[must_use]
    pub fn verdict(self, kind: Kind, role: Role) -> Verdict {
        let roles = self.roles(kind);
        if roles == NONE {
            Verdict::KindForbidden
        } else if roles.0.contains(&role) {
            Verdict::Allowed
        } else {
            Verdict::RoleForbidden
        }
    }

    /// The weakest token that permits it: the weakest kind, and of that the weakest role.
    #[must_use]
    pub const fn weakest_token(self) -> (Kind, Role) {
        let mut stronger = Kind::ALL.len();
        while stronger > 0 {
            stronger -= 1;
            let kind = Kind::ALL[stronger];
            if let Some(role) = self.roles(kind).0.last() {
                return (kind, *role);
            }
        }
        (Kind::Sdk, Role::Admin)
    }

    const fn roles(self, kind: Kind) -> Roles {
        // The table has its rows in the enum's order: a test holds them together.
        TABLE[self as usize].1[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_its_rows_in_the_enum_s_order() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{:?}", row.0);
        }
    }

    #[test]
    fn the_weakest_token_is_what_the_rest_api_asks_for() {
        for (permission, kind, role) in [
            (Permission::CreateRoom, Kind::Sdk, Role::Writer),
            (Permission::GetRoom, Kind::Room, Role::Writer),
            (Permission::DisableRoom, Kind::Room, Role::Admin),
            (Permission::StartConversion, Kind::Sdk, Role::Writer),
            (Permission::GetConversion, Kind::Task, Role::Reader),
            (Permission::MintRoomToken, Kind::Sdk, Role::Reader),
        ] {
            assert_eq!(permission.weakest_token(), (kind, role), "{permission:?}");
        }
    }
}
