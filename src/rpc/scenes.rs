//! `SceneService`.

use std::{collections::HashSet, sync::Arc};

use tonic::{Request, Response, Status, async_trait};

use super::{Error, House, convert, status::Missing, target::target, violations::Violations};
use crate::{
    methods::Rpc,
    proto::{
        self, AddScenesRequest, AddScenesResponse, CaptureSceneDirRequest, CaptureSceneDirResponse,
        CaptureSceneRequest, CaptureSceneResponse, ListScenesRequest, ListScenesResponse, SwitchSceneRequest,
        SwitchSceneResponse, scene_service_server::SceneService,
    },
    whiteboard::{self, Background, NewScene, Screenshot},
};

pub(super) struct Scenes(pub(super) Arc<House>);

/// The longest path or name of a scene, in bytes.
const LONGEST_PATH: usize = 1024;

fn room_missing(error: whiteboard::Error) -> Error {
    Error::Upstream(error, Missing::Room)
}

#[async_trait]
impl SceneService for Scenes {
    async fn list_scenes(
        &self,
        request: Request<ListScenesRequest>,
    ) -> Result<Response<ListScenesResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.room_uuid, &mut violations);
        optional_path(&body.scene_dir, "scene_dir", &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::ListScenes, &request, &target).await?;
        let paths = self.0.whiteboard.scenes(&access, target.uuid, &body.scene_dir).await;
        Ok(Response::new(ListScenesResponse { scene_paths: paths.map_err(room_missing)? }))
    }

    async fn add_scenes(
        &self,
        request: Request<AddScenesRequest>,
    ) -> Result<Response<AddScenesResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.room_uuid, &mut violations);
        path(&body.scene_dir, "scene_dir", &mut violations);
        let scenes = new_scenes(&body.scenes, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::AddScenes, &request, &target).await?;
        let added = self.0.whiteboard.add_scenes(&access, target.uuid, &body.scene_dir, &scenes).await;
        added.map_err(room_missing)?;
        Ok(Response::new(AddScenesResponse {}))
    }

    async fn switch_scene(
        &self,
        request: Request<SwitchSceneRequest>,
    ) -> Result<Response<SwitchSceneResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.room_uuid, &mut violations);
        path(&body.scene_path, "scene_path", &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::SwitchScene, &request, &target).await?;
        let current = self.0.whiteboard.switch_scene(&access, target.uuid, &body.scene_path).await;
        let scene_path = current.map_err(room_missing)?;
        // A missing scene or a directory does not switch, and need not be called an error upstream.
        if !segments(&scene_path).eq(segments(&body.scene_path)) {
            return Err(room_missing(whiteboard::Error::SceneNotFound).into());
        }
        Ok(Response::new(SwitchSceneResponse { scene_path }))
    }

    async fn capture_scene(
        &self,
        request: Request<CaptureSceneRequest>,
    ) -> Result<Response<CaptureSceneResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.room_uuid, &mut violations);
        optional_path(&body.scene_path, "scene_path", &mut violations);
        let size = size(body.width_px, body.height_px, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::CaptureScene, &request, &target).await?;
        let taken = self.0.whiteboard.capture_scene(&access, target.uuid, &body.scene_path, size).await;
        let screenshot = describe(taken.map_err(room_missing)?);
        Ok(Response::new(CaptureSceneResponse { screenshot: Some(screenshot) }))
    }

    async fn capture_scene_dir(
        &self,
        request: Request<CaptureSceneDirRequest>,
    ) -> Result<Response<CaptureSceneDirResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.room_uuid, &mut violations);
        optional_path(&body.scene_dir, "scene_dir", &mut violations);
        let size = size(body.width_px, body.height_px, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::CaptureSceneDir, &request, &target).await?;
        let taken = self.0.whiteboard.capture_scene_dir(&access, target.uuid, &body.scene_dir, size).await;
        let screenshots = taken.map_err(room_missing)?.into_iter().map(describe).collect();
        Ok(Response::new(CaptureSceneDirResponse { screenshots }))
    }
}

/// A path's names: `/a/1/` is `/a/1`.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn path(path: &str, field: &str, violations: &mut Violations) {
    if !path.starts_with('/') || path.len() > LONGEST_PATH || path.chars().any(char::is_control) {
        violations.add(field, "must begin with / and be at most 1024 bytes without control characters");
    }
}

/// Empty: the upstream's default.
fn optional_path(text: &str, field: &str, violations: &mut Violations) {
    if !text.is_empty() {
        path(text, field, violations);
    }
}

fn size(width: i32, height: i32, violations: &mut Violations) -> (i32, i32) {
    for (pixels, field) in [(width, "width_px"), (height, "height_px")] {
        if pixels <= 0 {
            violations.add(field, "must be above 0");
        }
    }
    (width, height)
}

fn new_scenes(scenes: &[proto::NewScene], violations: &mut Violations) -> Vec<NewScene> {
    if scenes.is_empty() {
        violations.add("scenes", "must be at least one");
    }
    let mut names = HashSet::new();
    let mut parsed = Vec::with_capacity(scenes.len());
    for (index, scene) in scenes.iter().enumerate() {
        let name = &scene.name;
        let fits = (1..=LONGEST_PATH).contains(&name.len())
            && !name.contains('/')
            && !name.chars().any(char::is_control);
        if !fits {
            violations.add(
                &format!("scenes[{index}].name"),
                "must be 1 to 1024 bytes without / and control characters",
            );
        } else if !names.insert(name) {
            violations.add(&format!("scenes[{index}].name"), "must be unique in its directory");
        }
        let background = scene.background.as_ref().and_then(|background| {
            let field = |name: &str| format!("scenes[{index}].background.{name}");
            let src = convert::url(&background.src, &field("src"), violations);
            for (pixels, name) in [(background.width_px, "width_px"), (background.height_px, "height_px")] {
                if pixels <= 0 {
                    violations.add(&field(name), "must be above 0");
                }
            }
            Some(Background { src: src?, width: background.width_px, height: background.height_px })
        });
        parsed.push(NewScene { name: name.clone(), background });
    }
    parsed
}

fn describe(screenshot: Screenshot) -> proto::Screenshot {
    let Screenshot { url, key, bucket, region } = screenshot;
    proto::Screenshot { url, key, bucket, storage_region: region }
}
