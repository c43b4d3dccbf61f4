//! The client and its parts.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{settings::Settings, transport::Transport};
use crate::{entropy::Entropy, stability::Stability, telemetry::ClockSkew, token::Role};

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
        let transport = Transport::new(settings, stability, entropy, skew, tasks)?;
        Ok(Self { transport, switch_scene_role: settings.switch_scene_role })
    }
}
