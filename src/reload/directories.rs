//! Watches the directories that files are in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::watch::Sender;

/// Directories in which every change is told. The thread that listens ends when this is dropped.
pub(super) struct Directories {
    changes: Sender<()>,
    watcher: Option<RecommendedWatcher>,
    is_failing: bool,
}

impl Directories {
    pub(super) fn new(changes: Sender<()>) -> Self {
        Self { changes, watcher: None, is_failing: false }
    }

    /// Watches the directories of these files, also those that were replaced since. A failure is
    /// logged once: the files are still read from time to time.
    pub(super) fn watch(&mut self, files: impl Iterator<Item = PathBuf>) {
        let directories: BTreeSet<_> = files.map(|file| directory_of(&file)).collect();
        let result = self.try_watch(&directories);
        if let Err(error) = &result
            && !self.is_failing
        {
            tracing::warn!(
                %error,
                "directories cannot be watched; changes in them are found when their files are next read"
            );
        }
        self.is_failing = result.is_err();
    }

    /// Watches what it can, and gives the last failure.
    fn try_watch(&mut self, directories: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let watcher = if let Some(watcher) = &mut self.watcher {
            watcher
        } else {
            let changes = self.changes.clone();
            let tell = move |event| {
                if is_change(&event) {
                    changes.send_replace(());
                }
            };
            self.watcher.insert(notify::recommended_watcher(tell)?)
        };
        let mut result = Ok(());
        for directory in directories {
            // To watch what is watched already changes nothing.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                result = Err(error);
            }
        }
        result
    }
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.into(),
        _ => ".".into(),
    }
}

/// Everything but reading, which we do ourselves.
fn is_change(event: &notify::Result<Event>) -> bool {
    let Ok(Event { kind: EventKind::Access(access), .. }) = event else { return true };
    *access == AccessKind::Close(AccessMode::Write)
}
