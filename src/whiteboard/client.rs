//! The client and its parts.

use std::{io, sync::Arc};

use tokio_util::task::TaskTracker;

use super::{access::Access, circuit::Circuit, error::Error, settings::Settings, transport::Transport};
use crate::{
    entropy::Entropy,
    region::Region,
    shares::{Share, Shares},
    stability::Stability,
    telemetry::UpstreamMetrics,
    token::Role,
};

/// The REST API. Cloning it is cheap.
#[derive(Clone)]
pub struct Whiteboard {
    pub(super) transport: Transport,
    pub(super) switch_scene_role: Role,
}

impl Whiteboard {
    /// Makes a client; connects to nothing yet. `tasks` owns the calls that go on when their caller leaves.
    ///
    /// # Errors
    /// The system's CA roots cannot be read.
    pub fn new(
        settings: &Settings,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        metrics: UpstreamMetrics,
        tasks: TaskTracker,
    ) -> io::Result<Self> {
        let transport = Transport::new(settings, stability, entropy, metrics, tasks)?;
        Ok(Self { transport, switch_scene_role: settings.switch_scene_role })
    }

    /// The places of reads and of what changes something.
    #[must_use]
    pub fn places(&self) -> [Arc<Shares>; 2] {
        self.transport.places()
    }

    /// How many calls may be repeated now.
    #[must_use]
    pub fn repeats_left(&self) -> u32 {
        self.transport.repeats_left()
    }

    /// The circuits, each with its region and the class of calls that it is for.
    pub fn circuits(&self) -> impl Iterator<Item = (Region, &'static str, Circuit)> {
        self.transport.circuits()
    }

    /// Takes a place for a call that changes something, for [`Access::place`]: before anything is done for it that would
    /// be in vain.
    ///
    /// # Errors
    /// [`Error::NoShare`].
    pub fn place(&self, access: &Access) -> Result<Arc<Share>, Error> {
        self.transport.place(access)
    }
}
