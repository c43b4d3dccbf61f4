//! The rooms of a partition.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::{project::App, scenes::Scenes};
use crate::clock::UnixMillis;

/// A room.
pub(super) struct Room {
    pub(super) uuid: String,
    /// Of the token that created it.
    pub(super) access_key: String,
    pub(super) scenes: Scenes,
    pub(super) app: Arc<App>,
    pub(super) is_record: bool,
    pub(super) is_ban: bool,
    pub(super) created_at: UnixMillis,
    pub(super) limit: u32,
}

/// A partition's rooms, in the order of their creation. They are never deleted.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    by_uuid: HashMap<String, usize>,
}

impl Room {
    /// The room as the vendor shows it.
    pub(super) fn json(&self) -> Value {
        let created_at = self.created_at.system_time();
        json!({
            "uuid": self.uuid,
            "teamUUID": self.app.team_uuid,
            "appUUID": self.app.app_uuid,
            "isRecord": self.is_record,
            "isBan": self.is_ban,
            "createdAt": humantime::format_rfc3339_millis(created_at).to_string(),
            "limit": self.limit,
        })
    }
}

impl Rooms {
    /// All rooms, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter()
    }

    /// The rooms from `begin` on, itself included. `None`: there is no room `begin`.
    pub(super) fn from(&self, begin: Option<&str>) -> Option<&[Room]> {
        let first = begin.map_or(Some(0), |uuid| self.by_uuid.get(uuid).copied())?;
        self.rooms.get(first..)
    }

    pub(super) fn add(&mut self, room: Room) {
        self.by_uuid.insert(room.uuid.clone(), self.rooms.len());
        self.rooms.push(room);
    }

    pub(super) fn get_mut(&mut self, uuid: &str) -> Option<&mut Room> {
        self.rooms.get_mut(*self.by_uuid.get(uuid)?)
    }
}
