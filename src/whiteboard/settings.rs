//! The client's settings.

use std::collections::BTreeMap;

use url::Url;

use crate::{
    outgoing::{Roots, Route},
    region::Region,
    token::Role,
};

/// `[whiteboard]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL before `/v5`.
    pub base_url: Url,
    /// Those of single regions, instead of it.
    pub base_urls: BTreeMap<Region, Url>,
    /// The CAs that are trusted beside those of the system.
    pub roots: Option<Roots>,
    /// Through which proxy calls leave. Plaintext never goes through one.
    pub route: Route,
    /// The role that switches scenes: the vendor's permission table says writer, its page of that
    /// call says admin.
    pub switch_scene_role: Role,
    /// Whether the API must accept a new key before it is used.
    pub try_new_keys: bool,
    /// Whether calls say which trace they are part of.
    pub propagate_trace: bool,
}

impl Settings {
    /// With the defaults for all else.
    #[must_use]
    pub const fn new(base_url: Url) -> Self {
        Self {
            base_url,
            base_urls: BTreeMap::new(),
            roots: None,
            route: Route::Environment,
            switch_scene_role: Role::Writer,
            try_new_keys: false,
            propagate_trace: false,
        }
    }

    /// Whether it is an emulator everywhere, which is recognized by plaintext.
    #[must_use]
    pub fn is_emulator(&self) -> bool {
        self.base_urls.values().chain([&self.base_url]).all(|url| url.scheme() == "http")
    }
}
