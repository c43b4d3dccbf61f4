//! `inkpass scene`.

use clap::{Args, Subcommand};

use super::{
    args::{ServerArgs, TargetArgs},
    failure::Failure,
};
use crate::proto::{
    AddScenesRequest, CaptureSceneDirRequest, CaptureSceneRequest, ListScenesRequest, NewScene,
    SceneBackground, SwitchSceneRequest,
};

#[derive(Subcommand)]
pub(super) enum SceneCommand {
    /// List the scene paths of a directory
    List(ListScenesArgs),
    /// Add scenes to a directory
    Add(AddScenesArgs),
    /// Show a scene to everyone in the room
    Switch(SwitchSceneArgs),
    /// Take a screenshot of a scene, or of all scenes in a directory with --dir
    Capture(CaptureScenesArgs),
}

#[derive(Args)]
pub(super) struct ListScenesArgs {
    /// The room's uuid
    room: String,
    /// The directory; by default the room's current one
    #[arg(long, default_value = "")]
    dir: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct AddScenesArgs {
    /// The room's uuid
    room: String,
    /// The directory
    #[arg(long)]
    dir: String,
    /// The scenes' names
    #[arg(required = true)]
    names: Vec<String>,
    /// The URL of each scene's background image
    #[arg(long, requires = "width", requires = "height", value_name = "URL")]
    background: Option<String>,
    /// The image's width in pixels
    #[arg(long, requires = "background", value_name = "PIXELS")]
    width: Option<i32>,
    /// The image's height in pixels
    #[arg(long, requires = "background", value_name = "PIXELS")]
    height: Option<i32>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct SwitchSceneArgs {
    /// The room's uuid
    room: String,
    /// The scene's path, such as /lesson/1
    path: String,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct CaptureScenesArgs {
    /// The room's uuid
    room: String,
    /// The scene's path; by default /init
    #[arg(long, default_value = "")]
    path: String,
    /// A directory: capture every scene in it
    #[arg(long, conflicts_with = "path")]
    dir: Option<String>,
    /// The screenshot's width in pixels
    #[arg(long, default_value_t = 1280, value_name = "PIXELS")]
    width: i32,
    /// The screenshot's height in pixels
    #[arg(long, default_value_t = 720, value_name = "PIXELS")]
    height: i32,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl SceneCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Add(add) => add.run().await,
            Self::Switch(switch) => switch.run().await,
            Self::Capture(capture) => capture.run().await,
        }
    }
}

impl ListScenesArgs {
    async fn run(self) -> Result<(), Failure> {
        let (project, access_key, region) = self.target.into_parts();
        let request =
            ListScenesRequest { project, access_key, region, room_uuid: self.room, scene_dir: self.dir };
        self.server.print(async |client| client.scenes().list_scenes(request).await).await
    }
}

impl AddScenesArgs {
    async fn run(self) -> Result<(), Failure> {
        let background = self.background.map(|src| SceneBackground {
            src,
            width_px: self.width.unwrap_or_default(),
            height_px: self.height.unwrap_or_default(),
        });
        let scene = |name| NewScene { name, background: background.clone() };
        let scenes = self.names.into_iter().map(scene).collect();
        let (project, access_key, region) = self.target.into_parts();
        let request = AddScenesRequest {
            project,
            access_key,
            region,
            room_uuid: self.room,
            scene_dir: self.dir,
            scenes,
        };
        self.server.print(async |client| client.scenes().add_scenes(request).await).await
    }
}

impl SwitchSceneArgs {
    async fn run(self) -> Result<(), Failure> {
        let (project, access_key, region) = self.target.into_parts();
        let request =
            SwitchSceneRequest { project, access_key, region, room_uuid: self.room, scene_path: self.path };
        self.server.print(async |client| client.scenes().switch_scene(request).await).await
    }
}

impl CaptureScenesArgs {
    async fn run(self) -> Result<(), Failure> {
        let (project, access_key, region) = self.target.into_parts();
        let (room_uuid, width_px, height_px) = (self.room, self.width, self.height);
        let output = self.server.output.get();
        let mut scenes = self.server.connect().await?.scenes();
        let Some(scene_dir) = self.dir else {
            let scene_path = self.path;
            let request = CaptureSceneRequest {
                project,
                access_key,
                region,
                room_uuid,
                scene_path,
                width_px,
                height_px,
            };
            return output.print(scenes.capture_scene(request).await?.get_ref());
        };
        let request =
            CaptureSceneDirRequest { project, access_key, region, room_uuid, scene_dir, width_px, height_px };
        output.print(scenes.capture_scene_dir(request).await?.get_ref())
    }
}
