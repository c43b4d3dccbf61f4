//! The client of the whiteboard's REST API.
//!
//! Every call names a region and carries the weakest token that suffices, made for that call and
//! alive for one minute. A POST is sent once: nothing in it would let the upstream recognise a
//! repeat. What the upstream writes never leaves this module as text.
//!
//! Source: the vendor's "Interactive Whiteboard REST API".

mod answer;
mod authority;
mod conversions;
mod flights;
mod path;
mod rooms;
mod scenes;
mod transport;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, de};
use url::Url;

use self::transport::Transport;
pub use self::{
    answer::{Effect, Error},
    conversions::{
        Conversion, Format, NewConversion, OutputFormat, Page, PendingConversion, Priority, Status,
    },
    rooms::Room,
    scenes::{Background, NewScene, Screenshot},
};
use crate::{
    entropy::Entropy,
    region::Region,
    stability::Stability,
    telemetry::ClockSkew,
    token::{Role, SigningKey, Uuid},
};

/// `[whiteboard]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What stands before `/v5`.
    pub base_url: Url,
    /// The role that switches scenes: the vendor's permission table says writer, its page of that
    /// call says admin.
    pub switch_scene_role: Role,
    /// Whether a new key must be accepted by the API before it is used.
    pub try_new_keys: bool,
}

impl Settings {
    /// With the defaults for all else.
    #[must_use]
    pub const fn new(base_url: Url) -> Self {
        Self { base_url, switch_scene_role: Role::Writer, try_new_keys: false }
    }
}

/// The REST API. Cloning it is cheap.
#[derive(Clone)]
pub struct Whiteboard {
    transport: Transport,
    switch_scene_role: Role,
}

/// Under which key, and in which region, a call is made.
#[derive(Clone, Debug)]
pub struct Access {
    /// Signs the call's token.
    pub key: Arc<SigningKey>,
    /// The data center.
    pub region: Region,
}

/// A uuid that can stand in a path: 1 to 128 of `0-9 A-Z a-z _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathUuid<'a>(Uuid<'a>);

impl<'a> PathUuid<'a> {
    /// `None` if it could leave its path segment, or is too long.
    #[must_use]
    pub fn new(uuid: &'a str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = uuid.len() <= 128 && uuid.bytes().all(allowed);
        Uuid::new(uuid).filter(|_| fits).map(Self)
    }

    /// The uuid's text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0.as_str()
    }
}

/// What an answer must hold wherever it holds a uuid: one that a path can.
fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let uuid = String::deserialize(deserializer)?;
    if PathUuid::new(&uuid).is_some() { Ok(uuid) } else { Err(de::Error::custom("not a uuid")) }
}

/// An answer about another room or task is believed in nothing.
fn is_the_one_asked_for(uuid: &str, asked: PathUuid<'_>) -> Result<(), Error> {
    if uuid == asked.as_str() {
        return Ok(());
    }
    let detail = "an answer about another uuid than was asked for".to_owned();
    tracing::warn!(upstream.detail = detail, "an upstream call failed");
    Err(Error::UnexpectedAnswer { effect: Effect::None, detail })
}

/// What is unknown may be absent, or null.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Whiteboard {
    /// Makes a client; connects to nothing yet. `skew` is told how far the API's clock is ahead.
    ///
    /// # Errors
    /// The system's CA roots cannot be read.
    pub fn new(
        settings: &Settings,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        skew: ClockSkew,
    ) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(&settings.base_url, stability, entropy, skew)?;
        Ok(Self { transport, switch_scene_role: settings.switch_scene_role })
    }
}
