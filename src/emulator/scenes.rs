//! The scenes of a room.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::ApiError;

/// A room's scenes: pages with a path each, in the order in which they were added.
pub(super) struct Scenes {
    scenes: Vec<Scene>,
    /// The path of the current scene.
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
pub(super) struct Background {
    src: String,
    width: f64,
    height: f64,
}

impl Default for Scenes {
    /// What every room begins with.
    fn default() -> Self {
        let path = "/init".to_owned();
        Self { current: path.clone(), scenes: vec![Scene { path, ppt: None }] }
    }
}

impl Scenes {
    /// The normalized path of a scene that exists.
    pub(super) fn resolve(&self, path: &str) -> Result<String, ApiError> {
        let path = normalize(path)?;
        if self.has(&path) { Ok(path) } else { Err(missing()) }
    }

    /// The paths of the scenes right in a directory, the current one if none is named.
    pub(super) fn in_directory(&self, directory: Option<&str>) -> Result<Vec<&str>, ApiError> {
        let directory = match directory {
            Some(directory) => normalize(directory)?,
            None => parent(&self.current).to_owned(),
        };
        let below = if directory == "/" { directory.clone() } else { format!("{directory}/") };
        if directory != "/" && !self.paths().any(|path| path.starts_with(&below)) {
            return Err(ApiError::not_found("scene directory not found"));
        }
        Ok(self.paths().filter(|path| parent(path) == directory).collect())
    }

    /// All of it, for the emulator's own controls.
    pub(super) fn json(&self) -> Value {
        json!({"scenes": self.scenes, "currentScenePath": self.current})
    }

    /// Makes a scene the current one; a missing scene leaves the room unchanged.
    pub(super) fn switch(&mut self, path: String) -> Result<&str, ApiError> {
        if !self.has(&path) {
            return Err(missing());
        }
        self.current = path;
        Ok(&self.current)
    }

    /// Adds a scene, or replaces the one of this path.
    pub(super) fn put(&mut self, path: String, ppt: Option<Background>) {
        let scene = Scene { path, ppt };
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

fn missing() -> ApiError {
    ApiError::not_found("scene not found")
}

/// Drops empty segments: `/dir/` is `/dir`.
pub(super) fn normalize(path: &str) -> Result<String, ApiError> {
    if !path.starts_with('/') {
        return Err(ApiError::invalid("a scene path must begin with /"));
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Ok(format!("/{}", segments.join("/")))
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory == "/" { format!("/{name}") } else { format!("{directory}/{name}") }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((directory, _)) => directory,
    }
}
