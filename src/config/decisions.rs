//! `[policy]` and `[audit]`: what may be done, and where that is written.

use std::path::Path;

use super::section::{Mistakes, Section, Setting};
use crate::{
    audit::{self, OnFailure, Output},
    entropy::SystemEntropy,
    keyring::ProjectSettings,
    policy::{KnownProjects, Rules},
};

pub(super) fn read_audit(section: &mut Section<'_>, mistakes: &Mistakes) -> audit::Settings {
    let settings = audit::Settings {
        output: section.take("output").unwrap_or_default(),
        on_failure: section.take("on_failure").unwrap_or_default(),
        salt_file: section.take("salt_file"),
    };
    if let Err(wrong) = audit::fingerprinter(settings.salt_file.as_deref(), &SystemEntropy) {
        for what in wrong {
            mistakes.add("audit.salt_file", what);
        }
    }
    settings
}

/// `everyone`: `--insecure-allow-all`.
pub(super) fn check_policy(
    file: Option<&Path>,
    projects: &[ProjectSettings],
    everyone: bool,
    mistakes: &Mistakes,
) {
    let Some(path) = file else {
        if !everyone {
            mistakes.add(
                "policy.file",
                "is missing, so nobody could do anything; name a policy file, or let everyone do everything \
                 with --insecure-allow-all",
            );
        }
        return;
    };
    for mistake in Rules::load(path, Some(&known(projects)), None).err().unwrap_or_default() {
        mistakes.add(path.display(), mistake);
    }
}

/// The projects that a policy may speak of.
#[must_use]
pub fn known(projects: &[ProjectSettings]) -> KnownProjects {
    let default = match projects {
        [only] => Some(only),
        all => all.iter().find(|project| project.is_default),
    };
    KnownProjects {
        names: projects.iter().map(|project| project.name.clone()).collect(),
        default: default.map(|project| project.name.clone()),
    }
}

impl Setting for Output {
    const EXPECTED: &'static str = "stdout, or the path of a file";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|_| !text.is_empty())
    }
}

impl Setting for OnFailure {
    const EXPECTED: &'static str = "deny or allow";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
