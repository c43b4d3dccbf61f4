//! The calls that create, read, list and disable rooms.

use std::sync::Arc;

use serde::Deserialize;

use super::{Answer, ApiError, Call, CallResult, Caller, World};
use crate::{
    emulator::{rooms::Room, scenes::Scenes},
    token::TokenError,
};

/// The default and the largest page of a listing, in rooms.
const DEFAULT_LISTED: usize = 100;
const MAX_LISTED: usize = 1000;

/// `POST /v5/rooms`.
pub(super) fn create(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let NewRoom { is_record, limit } = call.json()?;
    // The vendor's page says where recording is not supported, and calls it no error.
    let room = Room {
        uuid: world.new_uuid(),
        access_key: caller.key.access_key().to_owned(),
        scenes: Scenes::default(),
        app: Arc::clone(&world.projects[caller.partition_key.project].app),
        is_record,
        is_ban: false,
        created_at: call.now,
        limit,
    };
    let answer = Answer::created(room.json());
    world.partition(caller.partition_key).rooms.add(room);
    Ok(answer)
}

/// `GET /v5/rooms/{uuid}`: a disabled room is still seen.
pub(super) fn get(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    Ok(Answer::ok(find(world, call, caller)?.json()))
}

/// `GET /v5/rooms`: from `beginUUID`, itself included.
pub(super) fn list(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let Page { begin_uuid, limit } = call.query()?;
    let limit = limit.unwrap_or(DEFAULT_LISTED);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(ApiError::invalid("limit must be in (0,1000]"));
    }
    let rooms = &world.partition(caller.partition_key).rooms;
    let rooms = rooms.from(begin_uuid.as_deref()).ok_or_else(missing)?;
    Ok(Answer::ok(rooms.iter().take(limit).map(Room::json).collect()))
}

/// `PATCH /v5/rooms/{uuid}`: disables a room, or enables it again.
pub(super) fn ban(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let Ban { is_ban } = call.json()?;
    let room = find(world, call, caller)?;
    room.is_ban = is_ban;
    Ok(Answer::created(room.json()))
}

/// The room in the path, for calls that need it to be in use.
pub(super) fn find_open<'w>(
    world: &'w mut World,
    call: &Call,
    caller: &Caller,
) -> Result<&'w mut Room, ApiError> {
    let room = find(world, call, caller)?;
    if room.is_ban { Err(ApiError::denied("room is banned")) } else { Ok(room) }
}

fn find<'w>(world: &'w mut World, call: &Call, caller: &Caller) -> Result<&'w mut Room, ApiError> {
    let same_key = world.settings.same_key;
    let room = world.partition(caller.partition_key).rooms.get_mut(call.room()).ok_or_else(missing)?;
    if caller.opens(&room.access_key, same_key) { Ok(room) } else { Err(TokenError::Room.into()) }
}

fn missing() -> ApiError {
    ApiError::not_found("room not found")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NewRoom {
    is_record: bool,
    limit: u32,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "beginUUID")]
    begin_uuid: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ban {
    is_ban: bool,
}
