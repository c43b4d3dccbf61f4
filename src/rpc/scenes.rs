//! `SceneService`.

use std::{collections::HashSet, sync::Arc};

use tonic::{Request, Response, Status, async_trait};

use super::{
    Services,
    parse::{self, Violations},
    services::Opened,
};
use crate::{
    error::Error,
    methods::Rpc,
    proto::{
        self, AddScenesRequest, AddScenesResponse, CaptureSceneDirRequest, CaptureSceneDirResponse,
        CaptureSceneRequest, CaptureSceneResponse, ListScenesRequest, ListScenesResponse, SwitchSceneRequest,
        SwitchSceneResponse, scene_service_server::SceneService,
    },
    whiteboard::{self, Background, NewScene, Screenshot},
};

pub(super) struct Scenes(pub(super) Arc<Services>);

/// The longest path or name of a scene, in bytes.
const LONGEST_PATH: usize = 1024;

#[async_trait]
impl SceneService for Scenes {
    async fn list_scenes(
        &self,
        request: Request<ListScenesRequest>,
    ) -> Result<Response<ListScenesResponse>, Status> {
        let rpc = Rpc::ListScenes;
        let dir = |body: &ListScenesRequest, violations: &mut Violations| {
            optional_path(&body.scene_dir, "scene_dir", violations);
            Some(())
        };
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, dir).await?;
        let paths = self.0.whiteboard.scenes(&access, uuid, &request.get_ref().scene_dir).await;
        Ok(Response::new(ListScenesResponse { scene_paths: paths.map_err(Error::upstream(rpc))? }))
    }

    async fn add_scenes(
        &self,
        request: Request<AddScenesRequest>,
    ) -> Result<Response<AddScenesResponse>, Status> {
        let rpc = Rpc::AddScenes;
        let scenes = |body: &AddScenesRequest, violations: &mut Violations| {
            path(&body.scene_dir, "scene_dir", violations);
            Some(new_scenes(&body.scenes, violations))
        };
        let Opened { access, uuid, more: scenes, .. } = self.0.open(rpc, &request, scenes).await?;
        let added = self.0.whiteboard.add_scenes(&access, uuid, &request.get_ref().scene_dir, &scenes).await;
        added.map_err(Error::upstream(rpc))?;
        Ok(Response::new(AddScenesResponse {}))
    }

    async fn switch_scene(
        &self,
        request: Request<SwitchSceneRequest>,
    ) -> Result<Response<SwitchSceneResponse>, Status> {
        let rpc = Rpc::SwitchScene;
        let asked = &request.get_ref().scene_path;
        let scene = |body: &SwitchSceneRequest, violations: &mut Violations| {
            path(&body.scene_path, "scene_path", violations);
            Some(())
        };
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, scene).await?;
        let current = self.0.whiteboard.switch_scene(&access, uuid, asked).await;
        let scene_path = current.map_err(Error::upstream(rpc))?;
        // A missing scene or a directory does not switch, and need not be called an error upstream.
        if !segments(&scene_path).eq(segments(asked)) {
            return Err(Error::upstream(rpc)(whiteboard::Error::SceneNotFound).into());
        }
        Ok(Response::new(SwitchSceneResponse { scene_path }))
    }

    async fn capture_scene(
        &self,
        request: Request<CaptureSceneRequest>,
    ) -> Result<Response<CaptureSceneResponse>, Status> {
        let rpc = Rpc::CaptureScene;
        let size = |body: &CaptureSceneRequest, violations: &mut Violations| {
            optional_path(&body.scene_path, "scene_path", violations);
            Some(size(body.width_px, body.height_px, violations))
        };
        let Opened { access, uuid, more: size, .. } = self.0.open(rpc, &request, size).await?;
        let taken = self.0.whiteboard.capture_scene(&access, uuid, &request.get_ref().scene_path, size).await;
        let screenshot = describe(taken.map_err(Error::upstream(rpc))?);
        Ok(Response::new(CaptureSceneResponse { screenshot: Some(screenshot) }))
    }

    async fn capture_scene_dir(
        &self,
        request: Request<CaptureSceneDirRequest>,
    ) -> Result<Response<CaptureSceneDirResponse>, Status> {
        let rpc = Rpc::CaptureSceneDir;
        let size = |body: &CaptureSceneDirRequest, violations: &mut Violations| {
            optional_path(&body.scene_dir, "scene_dir", violations);
            Some(size(body.width_px, body.height_px, violations))
        };
        let Opened { access, uuid, more: size, .. } = self.0.open(rpc, &request, size).await?;
        let taken =
            self.0.whiteboard.capture_scene_dir(&access, uuid, &request.get_ref().scene_dir, size).await;
        let screenshots = taken.map_err(Error::upstream(rpc))?.into_iter().map(describe).collect();
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
    parse::pixels([(width, "width_px"), (height, "height_px")], violations);
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
            let src = parse::url(&background.src, &field("src"), violations);
            let (width, height) = (background.width_px, background.height_px);
            parse::pixels([(width, &field("width_px")), (height, &field("height_px"))], violations);
            Some(Background { src: src?, width, height })
        });
        parsed.push(NewScene { name: name.clone(), background });
    }
    parsed
}

fn describe(screenshot: Screenshot) -> proto::Screenshot {
    let Screenshot { url, key, bucket, region } = screenshot;
    proto::Screenshot { url, key, bucket, storage_region: region }
}
