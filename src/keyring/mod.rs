//! Projects and their access keys. Keys come from files only.

mod file;
mod load;
mod project;
mod reload;
mod settings;
mod trial;

pub use self::{
    file::{KeyFileError, SHORTEST_SECRET, Strictness, read_key_file},
    project::{Keyring, Project},
    reload::KeyFiles,
    settings::{KeySettings, KeyState, ProjectSettings, default_project},
    trial::{Probe, Trial},
};
pub use crate::file::FileError;
