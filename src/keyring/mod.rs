//! Projects and their access keys. Keys come from files only.

mod file;
mod live;
mod load;
mod project;
mod settings;
mod trial;

pub use self::{
    file::{KeyFileError, SHORTEST_SECRET, Strictness, read_key_file},
    live::LiveKeyring,
    project::{Keyring, Project},
    settings::{KeySettings, KeyState, ProjectSettings, default_project},
    trial::{Probe, Trial},
};
pub use crate::file::FileError;
