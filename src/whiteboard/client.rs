//! The client's settings and its parts.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use url::Url;

use super::transport::Transport;
use crate::{entropy::Entropy, stability::Stability, telemetry::ClockSkew, token::Role};

/// `[whiteboard]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL before `/v5`.
    pub base_url: Url,
    /// The role that switches scenes: the vendor's permission table says writer, its page of that
    /// call says admin.
    pub switch_scene_role: Role,
    /// Whether the API must accept a new key before it is used.
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
    pub(super) transport: Transport,
    pub(super) switch_scene_role: Role,
}

impl Whiteboard {
    /// Makes a client; connects to nothing yet. `skew` gets how far the API's clock is ahead; `tasks` owns the calls that
    /// go on when their caller leaves.
    ///
    /// # Errors
    /// The system's CA roots cannot be read.
    pub fn new(
        settings: &Settings,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        skew: ClockSkew,
        tasks: TaskTracker,
    ) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(&settings.base_url, stability, entropy, skew, tasks)?;
        Ok(Self { transport, switch_scene_role: settings.switch_scene_role })
    }
}
