//! A small disk that can be full.

use std::{fs, io::ErrorKind, path::PathBuf, process::Command};

use crate::helpers::{
    place::Place,
    skipped::{not_installed, not_possible},
};

/// A disk of 64 KiB, for as long as this lives.
pub(super) struct SmallDisk(Place);

impl SmallDisk {
    /// `None`, with the reason printed, where none can be mounted.
    pub(super) fn mount() -> Option<Self> {
        let directory = Place::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(directory.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(directory)),
            Ok(output) => {
                not_possible(&format!("no tmpfs: {}", String::from_utf8_lossy(&output.stderr).trim()));
                None
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                not_installed("mount");
                None
            }
            Err(error) => panic!("mount: {error}"),
        }
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
