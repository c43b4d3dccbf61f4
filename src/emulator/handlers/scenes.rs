//! The calls that list, add and switch scenes.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Call, CallResult, Caller, World, rooms::find_open};
use crate::emulator::scenes::{Background, join, normalize};

/// `GET /v5/rooms/{uuid}/scenes`: the scenes of a directory, the current one if none is named.
pub(super) fn list(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let Listing { scene_dir } = call.query()?;
    let scenes = &find_open(world, call, caller)?.scenes;
    Ok(Answer::ok(scenes.in_directory(scene_dir.as_deref())?.into()))
}

/// `POST /v5/rooms/{uuid}/scenes`: all of the scenes, or none if one is not valid.
pub(super) fn add(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let Addition { path, scenes } = call.json()?;
    let directory = normalize(&path)?;
    for (index, scene) in scenes.iter().enumerate() {
        if scene.name.is_empty() || scene.name.contains('/') {
            return Err(ApiError::invalid("name must not be empty or contain /"));
        }
        if scenes[..index].iter().any(|earlier| earlier.name == scene.name) {
            return Err(ApiError::invalid("name must be unique in its directory"));
        }
    }
    let room = find_open(world, call, caller)?;
    for NewScene { name, ppt } in scenes {
        room.scenes.put(join(&directory, &name), ppt);
    }
    Ok(Answer::created(json!({})))
}

/// `PATCH /v5/rooms/{uuid}/scene-state`: a missing scene or a directory leaves the room as it is.
pub(super) fn switch(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let Switch { scene_path } = call.json()?;
    let path = normalize(&scene_path)?;
    let current = find_open(world, call, caller)?.scenes.switch(path)?;
    let segments: Vec<&str> = current.split('/').skip(1).collect();
    Ok(Answer::created(json!({"currentScenePath": segments})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    scene_dir: Option<String>,
}

#[derive(Deserialize)]
struct Addition {
    path: String,
    scenes: Vec<NewScene>,
}

#[derive(Deserialize)]
struct NewScene {
    name: String,
    ppt: Option<Background>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Switch {
    scene_path: String,
}
