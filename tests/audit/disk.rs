//! A small disk that can be full.

use std::{fs, path::PathBuf, process::Command};

use crate::helpers::{place::Place, skipped::succeeds};

/// A disk of 64 KiB, for as long as this lives.
pub(super) struct SmallDisk(Place);

impl SmallDisk {
    /// `None`, with the reason printed, where none can be mounted.
    pub(super) fn mount() -> Option<Self> {
        let directory = Place::new();
        let place = directory.path().to_str().unwrap();
        let mounted = succeeds("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", place]);
        mounted.then_some(Self(directory))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Leaves some 4 KiB free, which is a few lines.
    pub(super) fn fill(&self) {
        fs::write(self.path("filler"), vec![0; 52 * 1024]).unwrap();
    }

    /// Leaves nothing free.
    pub(super) fn fill_up(&self) {
        // It ends with the space.
        let _ = fs::write(self.path("filler"), vec![0; 64 * 1024]);
    }

    /// Frees what was filled.
    pub(super) fn empty(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
