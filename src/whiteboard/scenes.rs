//! Scenes and screenshots.

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    access::{Access, PathUuid},
    answer,
    authority::Authority,
    call::Call,
    client::Whiteboard,
    error::Error,
    fields::{Fields, FromAnswer, text},
    unread::Unread,
};
use crate::{methods::Rpc, token::Permission};

/// A scene to add.
#[derive(Clone, Debug, Serialize)]
pub struct NewScene {
    /// Unique in its directory, without `/`.
    pub name: String,
    /// The image behind it.
    #[serde(rename = "ppt", skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
}

/// The image behind a scene.
#[derive(Clone, Debug, Serialize)]
pub struct Background {
    /// Its URL.
    pub src: String,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
}

/// Where a screenshot was stored.
#[derive(Clone, Debug)]
pub struct Screenshot {
    /// Where it can be fetched.
    pub url: String,
    /// Its key in the bucket.
    pub key: String,
    /// The bucket.
    pub bucket: String,
    /// The storage provider's region.
    pub region: String,
}

impl FromAnswer for Screenshot {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(text, unread)?;
        let (url, key) = (fields.text("url"), fields.text("key"));
        let shot = Self { url, key, bucket: fields.text("bucket"), region: fields.text("region") };
        // Without both nobody would find it.
        (!shot.url.is_empty() || !shot.key.is_empty()).then_some(shot)
    }
}

/// An answer that need say nothing.
#[derive(Default)]
struct Anything;

impl FromAnswer for Anything {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        Fields::of(text, unread).map(|_| Self)
    }
}

#[derive(Default)]
struct SceneState {
    /// `None`: the upstream does not say.
    current_scene_path: Option<Vec<String>>,
}

impl FromAnswer for SceneState {
    fn from_answer(answer: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(answer, unread)?;
        let read = |value| match value {
            Value::String(path) => {
                Some(path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            // Without one of its parts it would be another path.
            Value::Array(parts) => parts.into_iter().map(text).collect(),
            _ => None,
        };
        Some(Self { current_scene_path: fields.read("currentScenePath", read) })
    }
}

const SCENES: &str = "/v5/rooms/{uuid}/scenes";
const SCENE_STATE: &str = "/v5/rooms/{uuid}/scene-state";
const SCREENSHOTS: &str = "/v5/rooms/{uuid}/screenshots";
const SCREENSHOT_LIST: &str = "/v5/rooms/{uuid}/screenshot-list";

impl Whiteboard {
    /// `GET /v5/rooms/{uuid}/scenes`: the paths in a directory; empty is the current one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn scenes(&self, access: &Access, room: PathUuid<'_>, dir: &str) -> Result<Vec<String>, Error> {
        let authority = Authority::on(Permission::ListScenes, room);
        let mut call = Call::new(Rpc::ListScenes, Method::GET, SCENES, authority).at(room);
        if !dir.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("sceneDir", dir).finish();
            call = call.query(&query);
        }
        self.transport.read(access, call).await
    }

    /// `POST /v5/rooms/{uuid}/scenes`. It is sent once.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn add_scenes(
        &self,
        access: &Access,
        room: PathUuid<'_>,
        dir: &str,
        scenes: &[NewScene],
    ) -> Result<(), Error> {
        let authority = Authority::on(Permission::AddScene, room);
        let call = Call::new(Rpc::AddScenes, Method::POST, SCENES, authority).at(room);
        let call = call.body(json!({ "path": dir, "scenes": scenes }));
        self.transport.send_and(access, call, answer::done::<Anything>).await.map(|_| ())
    }

    /// `PATCH /v5/rooms/{uuid}/scene-state`: gives the path that is current then, which is the old
    /// one where there is no such scene.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn switch_scene(
        &self,
        access: &Access,
        room: PathUuid<'_>,
        scene: &str,
    ) -> Result<String, Error> {
        let authority = Authority::on(Permission::SwitchScene, room).at_least(self.switch_scene_role);
        let call = Call::new(Rpc::SwitchScene, Method::PATCH, SCENE_STATE, authority).at(room);
        let call = call.body(json!({ "scenePath": scene }));
        let state: SceneState = self.transport.send_and(access, call, answer::done).await?;
        let current = state.current_scene_path.map(|path| format!("/{}", path.join("/")));
        // The call succeeded, whatever else can be read of the answer.
        Ok(current.unwrap_or_else(|| scene.to_owned()))
    }

    /// `POST /v5/rooms/{uuid}/screenshots`. It is sent once.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn capture_scene(
        &self,
        access: &Access,
        room: PathUuid<'_>,
        scene: &str,
        size: (i32, i32),
    ) -> Result<Screenshot, Error> {
        let authority = Authority::on(Permission::CaptureScene, room);
        let call = Call::new(Rpc::CaptureScene, Method::POST, SCREENSHOTS, authority).at(room);
        self.transport.send(access, call.body(picture(scene, size))).await
    }

    /// `POST /v5/rooms/{uuid}/screenshot-list`. It is sent once.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn capture_scene_dir(
        &self,
        access: &Access,
        room: PathUuid<'_>,
        dir: &str,
        size: (i32, i32),
    ) -> Result<Vec<Screenshot>, Error> {
        let authority = Authority::on(Permission::CaptureSceneDir, room);
        let call = Call::new(Rpc::CaptureSceneDir, Method::POST, SCREENSHOT_LIST, authority).at(room);
        self.transport.send(access, call.body(picture(dir, size))).await
    }
}

/// A screenshot's body. An empty path is left to the upstream's default.
fn picture(path: &str, (width, height): (i32, i32)) -> Value {
    let mut body = json!({ "width": width, "height": height });
    if !path.is_empty() {
        body["path"] = json!(path);
    }
    body
}
