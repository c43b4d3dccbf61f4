//! `SceneService`: none of its calls is built yet, and each answers UNIMPLEMENTED.

use tonic::async_trait;

use crate::proto::scene_service_server::SceneService;

pub(super) struct Scenes;

#[async_trait]
impl SceneService for Scenes {}
