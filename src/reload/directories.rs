//! Watches the directories of files.

use std::{
    collections::BTreeSet,
    path::{self, Path, PathBuf},
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

/// Absolute, as the paths of events are.
fn directory_of(file: &Path) -> PathBuf {
    let mut directory = path::absolute(file).unwrap_or_else(|_| file.into());
    directory.pop();
    directory
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

#[cfg(test)]
mod tests {
    use std::{env, fs, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_change_of_a_file_is_seen_whether_its_path_is_absolute_or_not() {
        let place = tempfile::tempdir().unwrap();
        let to_root: PathBuf = env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
        let absolute = place.path().join("settings");
        for file in [to_root.join(absolute.strip_prefix("/").unwrap()), absolute] {
            let mut directories = Directories::new();
            let mut changes = directories.listen(std::slice::from_ref(&file));
            directories.watch();
            assert!(!directories.is_failing);
            fs::write(&file, "new").unwrap();
            let seen = timeout(Duration::from_secs(20), changes.changed()).await;
            assert!(matches!(seen, Ok(Ok(()))), "{}", file.display());
        }
    }
}
