//! A directory of a test's own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::canary;

/// A directory that is deleted at the test's end, after every file in it is searched for secret keys.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        canary::look_through_files(self.path());
    }
}
