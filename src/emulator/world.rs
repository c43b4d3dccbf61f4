//! All that the emulator remembers.
//!
//! Rooms and conversions live in a partition, one for each region of each project: nothing in one
//! partition is seen from another. This module knows no HTTP.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::{
    Project, conversions::Conversions, faults::Faults, requests::Requests, rooms::Rooms, settings::Settings,
};
use crate::{clock::UnixMillis, entropy::Entropy, region::Region, token::SigningKey};

/// The emulator's state.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) projects: Vec<Team>,
    pub(super) partitions: HashMap<Place, Partition>,
    pub(super) requests: Requests,
    pub(super) faults: Faults,
    /// Wakes the sender of webhooks.
    pub(super) webhook_expected: Arc<Notify>,
    /// What is switched off, and where.
    disabled: Vec<(Region, Feature)>,
    entropy: Arc<dyn Entropy>,
}

/// A project, by its index, in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) project: usize,
    pub(super) region: Region,
}

/// What a project has in a region.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) rooms: Rooms,
    pub(super) conversions: Conversions,
}

/// What the vendor switches on for each region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    Conversion,
    Screenshots,
}

/// A project as the vendor knows it: a team with one app.
pub(super) struct Team {
    pub(super) name: String,
    pub(super) app: Arc<App>,
    pub(super) disabled: bool,
    pub(super) keys: Vec<AccessKey>,
}

/// The two halves of an app identifier.
pub(super) struct App {
    pub(super) team_uuid: String,
    pub(super) app_uuid: String,
}

/// A project's access key.
pub(super) struct AccessKey {
    pub(super) key: Arc<SigningKey>,
    pub(super) revoked: bool,
}

impl World {
    pub(super) fn new(projects: Vec<Project>, entropy: Arc<dyn Entropy>, settings: Settings) -> Self {
        Self {
            settings,
            projects: projects.into_iter().map(Team::new).collect(),
            partitions: HashMap::new(),
            requests: Requests::default(),
            faults: Faults::default(),
            webhook_expected: Arc::new(Notify::new()),
            disabled: Vec::new(),
            entropy,
        }
    }

    /// Back to the start: no rooms, tasks, requests or faults; every feature and key in use.
    pub(super) fn reset(&mut self) {
        self.partitions.clear();
        self.requests = Requests::default();
        self.faults = Faults::default();
        self.disabled.clear();
        for team in &mut self.projects {
            team.disabled = false;
            team.keys.iter_mut().for_each(|key| key.revoked = false);
        }
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn settle(&mut self, now: UnixMillis) {
        for partition in self.partitions.values_mut() {
            partition.conversions.settle(now);
        }
    }

    /// Made on its first use.
    pub(super) fn partition(&mut self, place: Place) -> &mut Partition {
        self.partitions.entry(place).or_default()
    }

    /// The project and key of this name, if both may be used.
    pub(super) fn active_key(&self, access_key: &str) -> Option<(usize, &Arc<SigningKey>)> {
        self.projects.iter().enumerate().find_map(|(project, team)| {
            let known = team.keys.iter().find(|known| known.key.access_key() == access_key)?;
            (!team.disabled && !known.revoked).then_some((project, &known.key))
        })
    }

    pub(super) fn is_enabled(&self, region: Region, feature: Feature) -> bool {
        !self.disabled.contains(&(region, feature))
    }

    pub(super) fn switch(&mut self, region: Region, feature: Feature, on: bool) {
        self.disabled.retain(|off| *off != (region, feature));
        if !on {
            self.disabled.push((region, feature));
        }
    }

    pub(super) fn random_bytes(&self) -> [u8; 16] {
        self.entropy.bytes()
    }

    /// A new uuid in the vendor's form: 32 hexadecimal digits without dashes.
    pub(super) fn new_uuid(&self) -> String {
        hex(&self.random_bytes())
    }
}

impl Team {
    /// Both uuids follow from the name, so that they outlive a restart.
    fn new(project: Project) -> Self {
        let digest = Sha256::digest(&project.name);
        let (team, app) = digest.split_at(16);
        Self {
            name: project.name,
            app: Arc::new(App { team_uuid: hex(team), app_uuid: hex(app) }),
            disabled: false,
            keys: project.keys.into_iter().map(|key| AccessKey { key, revoked: false }).collect(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
