//! Rooms.

use std::time::UNIX_EPOCH;

use reqwest::Method;
use serde::{Deserialize, Deserializer, de};
use serde_json::json;

use super::{
    access::{Access, PathUuid},
    answer::check_uuid,
    authority::Authority,
    call::Call,
    client::Whiteboard,
    error::Error,
    fields::{or_default, uuid},
};
use crate::{
    clock::UnixMillis,
    methods::{Resource, Rpc},
    token::Permission,
};

/// A room, as the upstream describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its uuid, never re-formatted.
    #[serde(deserialize_with = "uuid")]
    pub uuid: String,
    /// With `app_uuid`, what a client SDK joins with.
    #[serde(rename = "teamUUID")]
    pub team_uuid: String,
    /// With `team_uuid`, what a client SDK joins with.
    #[serde(rename = "appUUID")]
    pub app_uuid: String,
    /// Whether it is recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub is_record: bool,
    /// Whether it is disabled.
    #[serde(default, deserialize_with = "or_default")]
    pub is_ban: bool,
    /// When it was created, if the upstream says so.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<UnixMillis>,
    /// How many writers and admins may be in it at once; 0: no limit.
    #[serde(default, deserialize_with = "or_default")]
    pub limit: i32,
}

const ROOMS: &str = "/v5/rooms";
const ROOM: &str = "/v5/rooms/{uuid}";

const CREATE: Authority<'_> = Authority::of(Permission::CreateRoom);
const LIST: Authority<'_> = Authority::of(Permission::ListRooms);

impl Whiteboard {
    /// `POST /v5/rooms`. It is sent once.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::OutcomeUnknown`] the room may exist.
    pub async fn create_room(&self, access: &Access, limit: i32) -> Result<Room, Error> {
        let call = Call::new(Rpc::CreateRoom, Method::POST, ROOMS, CREATE);
        self.transport.send(access, call.body(json!({ "isRecord": false, "limit": limit }))).await
    }

    /// `GET /v5/rooms/{uuid}`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn room(&self, access: &Access, uuid: PathUuid<'_>) -> Result<Room, Error> {
        let authority = Authority::on(Permission::GetRoom, uuid);
        let call = Call::new(Rpc::GetRoom, Method::GET, ROOM, authority).at(uuid);
        let room: Room = self.transport.read(access, call).await?;
        check_uuid(&room.uuid, uuid)?;
        Ok(room)
    }

    /// `GET /v5/rooms`: at most `limit` rooms, 1 to 1000; `begin` itself is the first of them.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where there is no room `begin`.
    pub async fn rooms(
        &self,
        access: &Access,
        begin: Option<PathUuid<'_>>,
        limit: usize,
    ) -> Result<Vec<Room>, Error> {
        let call = Call::new(Rpc::ListRooms, Method::GET, ROOMS, LIST);
        let call = match begin {
            // A path uuid needs no escaping.
            Some(uuid) => {
                call.query(&format!("beginUUID={}&limit={limit}", uuid.as_str())).names(Resource::Room)
            }
            None => call.query(&format!("limit={limit}")),
        };
        self.transport.read(access, call).await
    }

    /// `PATCH /v5/rooms/{uuid}`: disables a room, or enables it again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_room_disabled(
        &self,
        access: &Access,
        uuid: PathUuid<'_>,
        disabled: bool,
    ) -> Result<Room, Error> {
        let rpc = if disabled { Rpc::DisableRoom } else { Rpc::EnableRoom };
        let authority = Authority::on(Permission::DisableRoom, uuid);
        let call = Call::new(rpc, Method::PATCH, ROOM, authority).at(uuid);
        self.transport.send(access, call.body(json!({ "isBan": disabled }))).await
    }
}

/// RFC 3339, UTC.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    // humantime reads UTC written as Z alone.
    let text = text.strip_suffix("+00:00").map(|local| format!("{local}Z")).unwrap_or(text);
    let time = humantime::parse_rfc3339(&text).map_err(de::Error::custom)?;
    let since_epoch = time.duration_since(UNIX_EPOCH).map_err(de::Error::custom)?;
    let millis = UnixMillis::EPOCH.checked_add(since_epoch);
    millis.map(Some).ok_or_else(|| de::Error::custom("after the year 9999"))
}
