//! The emulator's state.
//!
//! Rooms and conversions are kept in a partition, one for each region of each project: nothing in one
//! partition is seen from another. This module knows no HTTP.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::sync::Notify;

use super::{
    conversions::Conversions,
    faults::Faults,
    project::{Project, Team},
    requests::Requests,
    rooms::Rooms,
    settings::Settings,
};
use crate::{clock::UnixMillis, entropy::Entropy, hex, region::Region, token::SigningKey};

/// The state of all projects.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) projects: Vec<Team>,
    pub(super) partitions: HashMap<PartitionKey, Partition>,
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
pub(super) struct PartitionKey {
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
    pub(super) fn partition(&mut self, partition_key: PartitionKey) -> &mut Partition {
        self.partitions.entry(partition_key).or_default()
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
        hex::encode(&self.random_bytes())
    }

    /// A new request id in the vendor's form, which may have `-` and `_` in it.
    pub(super) fn new_request_id(&self) -> String {
        let mut id = BASE64_URL_SAFE_NO_PAD.encode(self.random_bytes());
        id.truncate(14);
        id
    }
}
