//! `[projects]`.

use super::{
    section::{Section, SettingsFile},
    sources::Sources,
};
use crate::{
    document::Mistake,
    keyring::{KeySettings, Keyring, ProjectSettings},
};

/// Loads the keys of `[projects]` alone: all that an emulator needs of the settings.
///
/// # Errors
/// Every mistake in `[projects]`; other sections are not looked at.
pub fn load_keyring(sources: &Sources) -> Result<Keyring, Vec<Mistake>> {
    let file = SettingsFile::read(sources)?;
    let keyring = file.root().and_then(|mut root| {
        let projects = read_projects(&mut root, &file);
        root.ignore_rest();
        file.note(Keyring::load(&projects))
    });
    file.finish(keyring)
}

pub(super) fn read_projects(root: &mut Section<'_>, file: &SettingsFile) -> Vec<ProjectSettings> {
    let mut projects = root.section("projects");
    let mut read = Vec::new();
    for name in projects.names() {
        let mut section = projects.section(&name);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=63).contains(&name.len()) || !name.bytes().all(allowed) {
            file.wrong(&format!("projects.{name}"), "a name is 1 to 63 of 0-9 A-Z a-z _ . and -");
        }
        let is_default = section.take("default").unwrap_or(false);
        let (region, conversion_region) = (section.take("region"), section.take("conversion_region"));
        let keys = section.list("keys", read_key);
        read.push(ProjectSettings { name, is_default, region, conversion_region, keys });
    }
    if read.is_empty() {
        file.wrong("projects", "there is none; add [projects.default] with its keys");
    }
    read
}

fn read_key(section: &mut Section<'_>) -> Option<KeySettings> {
    let access_key_file = section.need("access_key_file");
    let secret_key_file = section.need("secret_key_file");
    let state = section.need("state");
    Some(KeySettings { access_key_file: access_key_file?, secret_key_file: secret_key_file?, state: state? })
}

/// New keys are tried in their project's region.
pub(super) fn need_regions(projects: &[ProjectSettings], file: &SettingsFile) {
    for project in projects.iter().filter(|project| project.region.is_none()) {
        let path = format!("projects.{}.region", project.name);
        file.wrong(&path, "is needed where whiteboard.try_new_keys is on: new keys are tried there");
    }
}
