//! `[projects]`.

use super::{
    Sources,
    section::{Mistakes, Section, Setting},
    source::read_file,
};
use crate::{
    keyring::{KeySettings, KeyState, Keyring, ProjectSettings},
    region::Region,
};

/// Loads the keys of `[projects]` alone: all that an emulator needs of the settings.
///
/// # Errors
/// Every mistake in `[projects]`; other sections are not looked at.
pub fn load_projects(sources: &Sources) -> Result<Keyring, Vec<String>> {
    let mistakes = Mistakes::default();
    let keyring = read_file(sources, &mistakes).and_then(|mut table| {
        table.retain(|name, _| name == "projects");
        let mut root = Section::new(String::new(), table, &mistakes);
        Keyring::load(&read_projects(&mut root, &mistakes), |path, what| mistakes.add(path, what))
    });
    let mistakes = mistakes.into_inner();
    keyring.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

pub(super) fn read_projects(root: &mut Section<'_>, mistakes: &Mistakes) -> Vec<ProjectSettings> {
    let mut projects = root.section("projects");
    let mut read = Vec::new();
    for name in projects.names() {
        let mut section = projects.section(&name);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=63).contains(&name.len()) || !name.bytes().all(allowed) {
            let name = name.escape_debug();
            mistakes.add(format_args!("projects.{name}"), "a name is 1 to 63 of 0-9 A-Z a-z _ . and -");
        }
        let is_default = section.take("default").unwrap_or(false);
        let region: Option<Region> = section.take("region");
        let keys = section.list("keys").iter_mut().filter_map(read_key).collect();
        read.push(ProjectSettings { name, is_default, region, keys });
    }
    if read.is_empty() {
        mistakes.add("projects", "there is none; add [projects.default] with its keys");
    }
    read
}

fn read_key(section: &mut Section<'_>) -> Option<KeySettings> {
    let access_key_file = section.need("access_key_file");
    let secret_key_file = section.need("secret_key_file");
    let state = section.need("state");
    Some(KeySettings { access_key_file: access_key_file?, secret_key_file: secret_key_file?, state: state? })
}

impl Setting for KeyState {
    const EXPECTED: &'static str = "one of active, retiring, verify-only";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
