//! What of the settings changes while the service runs: what is logged. Other settings that changed are named, because
//! they take effect at the next start.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use tonic::async_trait;

use crate::{
    config::{Sources, load_telemetry},
    document::Digests,
    reload::{Reload, on_a_thread},
    telemetry::LogControl,
};

/// The settings that take effect at once.
const LIVE: [&str; 2] = ["telemetry.log_level", "telemetry.access_log"];

/// The settings file, which is read again when it changes. One with a mistake in `[telemetry]` changes nothing. What
/// else is wrong in it is for `inkpass check` to say: a key file, which it names, may be replaced at that moment.
pub struct LiveSettings {
    sources: Sources,
    log: LogControl,
    /// What the service runs on.
    at_start: Digests,
    /// The settings that wait for the next start, as they were last logged.
    waiting: Mutex<BTreeSet<String>>,
}

impl LiveSettings {
    /// `sources`: those of the settings that the service runs on, `at_start`.
    #[must_use]
    pub fn new(sources: Sources, at_start: Digests, log: LogControl) -> Self {
        Self { sources, log, at_start, waiting: Mutex::default() }
    }

    fn note(&self, now: &Digests) {
        let changed: BTreeSet<_> = differences(&self.at_start, now).map(str::to_owned).collect();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting == changed {
            return;
        }
        if changed.is_empty() {
            tracing::info!("no setting waits for the next start any more");
        } else {
            let settings = changed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                settings,
                "these settings changed; they take effect at the next start: try them with inkpass check"
            );
        }
        *waiting = changed;
    }
}

/// The paths of what differs, but for what takes effect at once.
fn differences<'a>(old: &'a Digests, new: &'a Digests) -> impl Iterator<Item = &'a str> {
    let changed = new.iter().filter(|(path, value)| old.get(*path) != Some(value));
    let gone = old.iter().filter(|(path, _)| !new.contains_key(*path));
    changed.chain(gone).map(|(path, _)| &**path).filter(|path| !LIVE.contains(path))
}

#[async_trait]
impl Reload for LiveSettings {
    fn name(&self) -> &'static str {
        "settings"
    }

    fn files(&self) -> Vec<PathBuf> {
        self.sources.file.iter().cloned().collect()
    }

    fn describe(&self) -> String {
        format!("log_level {}, access_log {}", self.log.level(), self.log.access())
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let sources = self.sources.clone();
        let (telemetry, digests) = on_a_thread(move || load_telemetry(&sources)).await?;
        self.log.set(telemetry.log_level, telemetry.access_log);
        self.note(&digests);
        Ok(())
    }
}
