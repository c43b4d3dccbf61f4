//! Rooms.

use std::time::UNIX_EPOCH;

use reqwest::Method;
use serde::{Deserialize, Deserializer, de};
use serde_json::json;

use super::{
    Access, Error, PathUuid, Whiteboard, authority::Authority, is_the_one_asked_for, or_default,
    transport::Call, uuid,
};
use crate::{clock::UnixMillis, token::Permission};

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

const CREATE: Authority<'_> = Authority::of(Permission::CreateRoom);
const LIST: Authority<'_> = Authority::of(Permission::ListRooms);

impl Whiteboard {
    /// `POST /v5/rooms`. It is sent once.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::OutcomeUnknown`] the room may exist.
    pub async fn create_room(&self, access: &Access, limit: i32) -> Result<Room, Error> {
        let call = Call {
            method: Method::POST,
            path: "/v5/rooms".to_owned(),
            body: Some(json!({ "isRecord": false, "limit": limit })),
            authority: CREATE,
        };
        self.transport.send(access, call).await
    }

    /// `GET /v5/rooms/{uuid}`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn room(&self, access: &Access, uuid: PathUuid<'_>) -> Result<Room, Error> {
        let authority = Authority::on(Permission::GetRoom, uuid);
        let room: Room = self.transport.read(access, path(uuid), authority).await?;
        is_the_one_asked_for(&room.uuid, uuid)?;
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
        // A path uuid needs no escaping.
        let begin = begin.map(|uuid| format!("beginUUID={}&", uuid.as_str())).unwrap_or_default();
        let path = format!("/v5/rooms?{begin}limit={limit}");
        self.transport.read(access, path, LIST).await
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
        let call = Call {
            method: Method::PATCH,
            path: path(uuid),
            body: Some(json!({ "isBan": disabled })),
            authority: Authority::on(Permission::DisableRoom, uuid),
        };
        self.transport.send(access, call).await
    }
}

fn path(uuid: PathUuid<'_>) -> String {
    format!("/v5/rooms/{}", uuid.as_str())
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
