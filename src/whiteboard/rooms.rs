//! Rooms.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Access, Error, Whiteboard, transport::Call};
use crate::token::Permission;

/// A room, as the upstream describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its uuid, never re-formatted.
    pub uuid: String,
    /// With `app_uuid`, what a client SDK joins with.
    #[serde(rename = "teamUUID")]
    pub team_uuid: String,
    /// With `team_uuid`, what a client SDK joins with.
    #[serde(rename = "appUUID")]
    pub app_uuid: String,
    /// Whether it is recorded.
    pub is_record: bool,
    /// Whether it is disabled.
    pub is_ban: bool,
    /// When it was created: RFC 3339, UTC.
    pub created_at: String,
    /// How many writers and admins may be in it at once; 0: no limit.
    pub limit: i32,
}

impl Whiteboard {
    /// `POST /v5/rooms`. It is sent once.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::OutcomeUnknown`] the room may exist.
    pub async fn create_room(&self, access: Access<'_>, limit: i32) -> Result<Room, Error> {
        let call = Call {
            method: Method::POST,
            path: "/v5/rooms".to_owned(),
            body: Some(json!({ "isRecord": false, "limit": limit })),
            permission: Permission::CreateRoom,
            uuid: None,
        };
        self.transport.send(access, call).await
    }
}
