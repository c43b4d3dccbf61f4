//! Watches the directories of files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::watch::{self, Receiver, Sender};

/// Each listener, with its directories.
type Listeners = Vec<(BTreeSet<PathBuf>, Sender<()>)>;

/// Notifies listeners of changes in directories. Its thread ends when this is dropped.
pub(super) struct Directories {
    listeners: Listeners,
    watcher: Option<RecommendedWatcher>,
    is_failing: bool,
}

impl Directories {
    pub(super) const fn new() -> Self {
        Self { listeners: Vec::new(), watcher: None, is_failing: false }
    }

    /// A receiver of changes in the directories of these files.
    pub(super) fn listen(&mut self, files: &[PathBuf]) -> Receiver<()> {
        let (changes, listener) = watch::channel(());
        self.listeners.push((files.iter().map(|file| directory_of(file)).collect(), changes));
        listener
    }

    /// Watches all directories, also replaced ones. A failure is logged once: the files are still read at
    /// an interval.
    pub(super) fn watch(&mut self) {
        let result = self.try_watch();
        if let Err(error) = &result
            && !self.is_failing
        {
            tracing::warn!(
                %error,
                "directories cannot be watched; changes are found when files are next read"
            );
        } else if self.is_failing && result.is_ok() {
            tracing::info!("directories are watched again; changes are found at once");
        }
        self.is_failing = result.is_err();
    }

    /// Watches every directory that it can; gives the last failure.
    fn try_watch(&mut self) -> notify::Result<()> {
        let watcher = if let Some(watcher) = &mut self.watcher {
            watcher
        } else {
            let listeners = self.listeners.clone();
            self.watcher
                .insert(notify::recommended_watcher(move |event| notify_listeners(&listeners, &event))?)
        };
        let mut result = Ok(());
        for directory in self.listeners.iter().flat_map(|(directories, _)| directories) {
            // A directory that is watched already stays so.
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

/// Notifies the listeners of an event's directory; without a path, all.
fn notify_listeners(listeners: &Listeners, event: &notify::Result<Event>) {
    if !is_change(event) {
        return;
    }
    let paths = event.as_ref().map_or(&[][..], |event| &event.paths);
    for (directories, changes) in listeners {
        let is_in = |path: &PathBuf| directories.contains(path) || directories.contains(&directory_of(path));
        if paths.is_empty() || paths.iter().any(is_in) {
            changes.send_replace(());
        }
    }
}

/// Any event except reading, which this process does itself.
fn is_change(event: &notify::Result<Event>) -> bool {
    let Ok(Event { kind: EventKind::Access(access), .. }) = event else { return true };
    *access == AccessKind::Close(AccessMode::Write)
}
