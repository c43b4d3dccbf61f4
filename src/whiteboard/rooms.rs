//! Rooms.

use reqwest::Method;
use serde_json::json;

use super::{
    access::{Access, PathUuid},
    answer::{self, Reading, Received, check_uuid},
    authority::Authority,
    call::Call,
    client::Whiteboard,
    error::Error,
    fields::{Fields, FromAnswer},
    lenient,
    unread::Unread,
};
use crate::{
    clock::UnixMillis,
    methods::{Resource, Rpc},
    token::Permission,
};

/// A room, as the upstream describes it. What it does not say is empty, false or zero.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Its uuid, never re-formatted.
    pub uuid: String,
    /// With `app_uuid`, what a client SDK joins with.
    pub team_uuid: String,
    /// With `team_uuid`, what a client SDK joins with.
    pub app_uuid: String,
    /// Whether it is recorded; `None`: the upstream does not say.
    pub is_record: Option<bool>,
    /// Whether it is disabled; `None`: the upstream does not say.
    pub is_ban: Option<bool>,
    /// When it was created, if the upstream says so.
    pub created_at: Option<UnixMillis>,
    /// How many writers and admins may be in it at once; 0: no limit. `None`: the upstream does not say.
    pub limit: Option<i32>,
}

/// A part of the list of rooms.
#[derive(Clone, Debug)]
pub struct RoomList {
    /// Those that can be read.
    pub rooms: Vec<Room>,
    /// How many the upstream gave.
    pub received: usize,
}

impl FromAnswer for RoomList {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let received = lenient::items(text)?.len();
        Some(Self { rooms: Vec::from_answer(text, unread)?, received })
    }
}

impl FromAnswer for Room {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        Changed::from_answer(text, unread).map(|Changed(room)| room).filter(|room| !room.uuid.is_empty())
    }
}

/// A room that the request named: without a uuid it is that one.
#[derive(Default)]
struct Changed(Room);

impl FromAnswer for Changed {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(text, unread)?;
        Some(Self(Room {
            uuid: fields.uuid("uuid").unwrap_or_default(),
            team_uuid: fields.text("teamUUID"),
            app_uuid: fields.text("appUUID"),
            is_record: fields.flag("isRecord"),
            is_ban: fields.flag("isBan"),
            created_at: fields.time("createdAt"),
            limit: fields.whole("limit"),
        }))
    }
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
    pub async fn create_room(&self, access: &Access, limit: i32, recording: bool) -> Result<Room, Error> {
        let call = Call::new(Rpc::CreateRoom, Method::POST, ROOMS, CREATE);
        let body = json!({ "isRecord": recording, "limit": limit });
        let room: Room = self.transport.send(access, call.body(body)).await?;
        Ok(Room { limit: room.limit.or(Some(limit)), is_record: room.is_record.or(Some(recording)), ..room })
    }

    /// `GET /v5/rooms/{uuid}`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn room(&self, access: &Access, uuid: PathUuid<'_>) -> Result<Room, Error> {
        let authority = Authority::on(Permission::GetRoom, uuid);
        let call = Call::new(Rpc::GetRoom, Method::GET, ROOM, authority).at(uuid);
        self.transport.read_about(access, call, |room: &Room| check_uuid(&room.uuid, uuid.as_str())).await
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
    ) -> Result<RoomList, Error> {
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
        let call = call.body(json!({ "isBan": disabled }));
        let asked = uuid.as_str().to_owned();
        let read = move |received: &Received, reading: &Reading<'_>| {
            let Changed(mut room) = answer::done(received, reading)?;
            if room.uuid.is_empty() {
                room.uuid.clone_from(&asked);
            }
            check_uuid(&room.uuid, &asked)?;
            Ok(Room { is_ban: room.is_ban.or(Some(disabled)), ..room })
        };
        self.transport.send_and(access, call, read).await
    }
}
