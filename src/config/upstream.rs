//! `[whiteboard]`, `[watch]` and `[telemetry]`: what the service calls.

use std::time::Duration;

use url::Url;

use super::section::{Section, SettingsFile};
use crate::{
    loopback::is_loopback_url,
    telemetry::{self, LogFormat, LogLevel},
    watcher, whiteboard,
};

/// Where the vendor serves the whiteboard API.
const VENDOR: &str = "https://api.netless.link";

pub(super) fn read_whiteboard(
    section: &mut Section<'_>,
    file: &SettingsFile,
) -> Option<whiteboard::Settings> {
    let base_url = section.take("base_url").or_else(|| Url::parse(VENDOR).ok());
    let allow_plaintext = section.take("allow_plaintext").unwrap_or(false);
    let base_url = base_url?;
    if base_url.scheme() == "http" && !allow_plaintext && !is_loopback_url(&base_url) {
        file.wrong(
            "whiteboard.base_url",
            "http:// would send tokens in the clear; use https://, or set whiteboard.allow_plaintext = true",
        );
    }
    if base_url.query().is_some()
        || base_url.fragment().is_some()
        || !base_url.username().is_empty()
        || base_url.password().is_some()
    {
        file.wrong("whiteboard.base_url", "must have no user, query or fragment");
    }
    let defaults = whiteboard::Settings::new(base_url);
    let switch_scene_role = section.take("switch_scene_role").unwrap_or(defaults.switch_scene_role);
    let try_new_keys = section.take("try_new_keys").unwrap_or(defaults.try_new_keys);
    Some(whiteboard::Settings { switch_scene_role, try_new_keys, ..defaults })
}

pub(super) fn read_telemetry(section: &mut Section<'_>, file: &SettingsFile) -> telemetry::Settings {
    let endpoint: Option<Url> = section.take("otlp_endpoint");
    let sampling_ratio = section.take("sampling_ratio").unwrap_or(0.05);
    if !(0.0..=1.0).contains(&sampling_ratio) {
        file.wrong("telemetry.sampling_ratio", "must be 0.0 to 1.0");
    }
    telemetry::Settings {
        log_format: section.take("log_format").unwrap_or(LogFormat::Json),
        log_level: section.take("log_level").unwrap_or(LogLevel::Info),
        otlp_endpoint: endpoint.map(Into::into),
        sampling_ratio,
    }
}

/// Only an emulator, which is recognized by plaintext, may be polled faster than the vendor asks for.
pub(super) fn read_watch(
    section: &mut Section<'_>,
    whiteboard: Option<&whiteboard::Settings>,
    file: &SettingsFile,
) -> watcher::Settings {
    let defaults = watcher::Settings::default();
    let mut take = |name| section.take::<humantime::Duration>(name).map(Duration::from);
    let max_duration = take("max_duration").unwrap_or(defaults.max_duration);
    let poll_interval = take("poll_interval").unwrap_or(defaults.poll_interval);
    let is_emulator = whiteboard.is_some_and(|whiteboard| whiteboard.base_url.scheme() == "http");
    if poll_interval.is_zero() || (poll_interval < defaults.poll_interval && !is_emulator) {
        file.wrong("watch.poll_interval", "must be 3s or more; less is for an http:// base_url, an emulator");
    }
    if max_duration < Duration::from_secs(1) || max_duration > defaults.max_duration {
        file.wrong("watch.max_duration", "must be 1s to 4m, so that a watch ends before its connection does");
    }
    watcher::Settings { max_duration, poll_interval }
}
