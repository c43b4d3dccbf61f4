//! The scenes of a room, and the calls that list, add and switch them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Failure, Outcome},
    auth::Caller,
    calls::Call,
    rooms::find_open,
    world::World,
};

/// A room's scenes: pages with a path each, in the order in which they were added.
pub(super) struct Scenes {
    scenes: Vec<Scene>,
    /// The path of the scene that the room shows.
    current: String,
}

/// A scene. Its path is absolute and has no empty segments.
#[derive(Serialize)]
struct Scene {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ppt: Option<Background>,
}

/// A scene's background.
#[derive(Deserialize, Serialize)]
struct Background {
    src: String,
    width: f64,
    height: f64,
}

/// `GET /v5/rooms/{uuid}/scenes`: the scenes of a directory, the current one if none is named.
pub(super) fn list(world: &mut World, call: &Call, caller: &Caller) -> Outcome {
    let Listing { scene_dir } = call.query()?;
    let scenes = &find_open(world, call, caller)?.scenes;
    Ok(Answer::ok(scenes.in_directory(scene_dir.as_deref())?.into()))
}

/// `POST /v5/rooms/{uuid}/scenes`: all of the scenes, or none if one is not valid.
pub(super) fn add(world: &mut World, call: &Call, caller: &Caller) -> Outcome {
    let Addition { path, scenes } = call.json()?;
    let directory = normalize(&path)?;
    for (index, scene) in scenes.iter().enumerate() {
        if scene.name.is_empty() || scene.name.contains('/') {
            return Err(Failure::invalid("name must not be empty or contain /"));
        }
        if scenes[..index].iter().any(|earlier| earlier.name == scene.name) {
            return Err(Failure::invalid("name must be unique in its directory"));
        }
    }
    let room = find_open(world, call, caller)?;
    for NewScene { name, ppt } in scenes {
        room.scenes.put(Scene { path: join(&directory, &name), ppt });
    }
    Ok(Answer::created(json!({})))
}

/// `PATCH /v5/rooms/{uuid}/scene-state`: a missing scene or a directory leaves the room as it is.
pub(super) fn switch(world: &mut World, call: &Call, caller: &Caller) -> Outcome {
    let Switch { scene_path } = call.json()?;
    let path = normalize(&scene_path)?;
    let scenes = &mut find_open(world, call, caller)?.scenes;
    if !scenes.has(&path) {
        return Err(missing());
    }
    scenes.current = path;
    let segments: Vec<&str> = scenes.current.split('/').skip(1).collect();
    Ok(Answer::created(json!({"currentScenePath": segments})))
}

impl Default for Scenes {
    /// What every room begins with.
    fn default() -> Self {
        let path = "/init".to_owned();
        Self { current: path.clone(), scenes: vec![Scene { path, ppt: None }] }
    }
}

impl Scenes {
    /// Checks that a scene is there and gives its path in its plain form.
    pub(super) fn resolve(&self, path: &str) -> Result<String, Failure> {
        let path = normalize(path)?;
        if self.has(&path) { Ok(path) } else { Err(missing()) }
    }

    /// The paths of the scenes right in a directory, the current one if none is named.
    pub(super) fn in_directory(&self, directory: Option<&str>) -> Result<Vec<&str>, Failure> {
        let directory = match directory {
            Some(directory) => normalize(directory)?,
            None => parent(&self.current).to_owned(),
        };
        let below = if directory == "/" { directory.clone() } else { format!("{directory}/") };
        if directory != "/" && !self.paths().any(|path| path.starts_with(&below)) {
            return Err(Failure::not_found("scene directory not found"));
        }
        Ok(self.paths().filter(|path| parent(path) == directory).collect())
    }

    /// All of it, for the emulator's own controls.
    pub(super) fn json(&self) -> Value {
        json!({"scenes": self.scenes, "currentScenePath": self.current})
    }

    /// Takes the place of a scene of the same path.
    fn put(&mut self, scene: Scene) {
        match self.scenes.iter_mut().find(|old| old.path == scene.path) {
            Some(old) => *old = scene,
            None => self.scenes.push(scene),
        }
    }

    fn has(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.scenes.iter().map(|scene| scene.path.as_str())
    }
}

fn missing() -> Failure {
    Failure::not_found("scene not found")
}

/// Drops empty segments: `/dir/` is `/dir`.
fn normalize(path: &str) -> Result<String, Failure> {
    if !path.starts_with('/') {
        return Err(Failure::invalid("a scene path must begin with /"));
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Ok(format!("/{}", segments.join("/")))
}

fn join(directory: &str, name: &str) -> String {
    if directory == "/" { format!("/{name}") } else { format!("{directory}/{name}") }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((directory, _)) => directory,
    }
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
