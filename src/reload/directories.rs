//! Watches the directories that files are in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::watch::{self, Receiver, Sender};

/// Who is told of changes in some directories.
type Listeners = Vec<(BTreeSet<PathBuf>, Sender<()>)>;

/// Directories in which every change is told. The thread that listens ends when this is dropped.
pub(super) struct Directories {
    listeners: Listeners,
    watcher: Option<RecommendedWatcher>,
    is_failing: bool,
}

impl Directories {
    pub(super) const fn new() -> Self {
        Self { listeners: Vec::new(), watcher: None, is_failing: false }
    }

    /// Tells of every change in the directories of these files.
    pub(super) fn listen(&mut self, files: &[PathBuf]) -> Receiver<()> {
        let (changes, listener) = watch::channel(());
        self.listeners.push((files.iter().map(|file| directory_of(file)).collect(), changes));
        listener
    }

    /// Watches all these directories, also those that were replaced since. A failure is logged once:
    /// the files are still read from time to time.
    pub(super) fn watch(&mut self) {
        let result = self.try_watch();
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
    fn try_watch(&mut self) -> notify::Result<()> {
        let watcher = if let Some(watcher) = &mut self.watcher {
            watcher
        } else {
            let listeners = self.listeners.clone();
            self.watcher.insert(notify::recommended_watcher(move |event| tell(&listeners, &event))?)
        };
        let mut result = Ok(());
        for directory in self.listeners.iter().flat_map(|(directories, _)| directories) {
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

/// Whoever listens in the event's directory; of one without a path, everybody.
fn tell(listeners: &Listeners, event: &notify::Result<Event>) {
    if !is_change(event) {
        return;
    }
    let paths = event.as_ref().map_or(&[][..], |event| &event.paths);
    for (directories, changes) in listeners {
        let is_near =
            |path: &PathBuf| directories.contains(path) || directories.contains(&directory_of(path));
        if paths.is_empty() || paths.iter().any(is_near) {
            changes.send_replace(());
        }
    }
}

/// Everything but reading, which we do ourselves.
fn is_change(event: &notify::Result<Event>) -> bool {
    let Ok(Event { kind: EventKind::Access(access), .. }) = event else { return true };
    *access == AccessKind::Close(AccessMode::Write)
}
