//! The calls that take screenshots. Nothing is drawn: the urls lead nowhere.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError, Call, CallResult, Caller, World, rooms::find_open};
use crate::region::Region;

/// `POST /v5/rooms/{uuid}/screenshots`: of one scene.
pub(super) fn one(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let wanted = Wanted::read(call)?;
    let scenes = &find_open(world, call, caller)?.scenes;
    let path = scenes.resolve(wanted.path.as_deref().unwrap_or("/init"))?;
    Ok(Answer::created(wanted.screenshot(call.room(), &path, caller.partition_key.region)))
}

/// `POST /v5/rooms/{uuid}/screenshot-list`: of each scene in a directory.
pub(super) fn all(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let wanted = Wanted::read(call)?;
    let scenes = &find_open(world, call, caller)?.scenes;
    let paths = scenes.in_directory(wanted.path.as_deref())?;
    let region = caller.partition_key.region;
    Ok(Answer::created(paths.into_iter().map(|path| wanted.screenshot(call.room(), path, region)).collect()))
}

#[derive(Deserialize)]
struct Wanted {
    /// Pixels.
    width: u32,
    height: u32,
    path: Option<String>,
}

impl Wanted {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let wanted: Self = call.json()?;
        if wanted.width == 0 || wanted.height == 0 {
            return Err(ApiError::invalid("width and height must be above 0"));
        }
        Ok(wanted)
    }

    fn screenshot(&self, room: &str, scene: &str, region: Region) -> Value {
        let key = format!("screenshot/{room}{scene}_{}x{}.png", self.width, self.height);
        json!({
            "url": format!("https://screenshots-{region}.emulator.invalid/{key}"),
            "key": key,
            "bucket": format!("screenshots-{region}"),
            "region": format!("storage-{region}"),
        })
    }
}
