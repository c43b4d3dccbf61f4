//! `[policy]` and `[audit]`: what may be done, and where that is written.

use std::path::Path;

use super::section::{Mistakes, Section, Setting};
use crate::{
    audit::{self, OnFailure, Output},
    entropy::SystemEntropy,
    keyring::ProjectSettings,
    policy::{Everyone, KnownProjects, Rules},
    token::Fingerprinter,
};

pub(super) fn read_audit(
    section: &mut Section<'_>,
    mistakes: &Mistakes,
) -> (audit::Settings, Option<Fingerprinter>) {
    let settings = audit::Settings {
        output: section.take("output").unwrap_or_default(),
        on_failure: section.take("on_failure").unwrap_or_default(),
        salt_file: section.take("salt_file"),
    };
    if let Output::File(path) = &settings.output {
        let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        if path.is_dir() || !directory.is_dir() {
            mistakes.add("audit.output", "must be stdout, or a file in a directory that exists");
        }
    }
    let fingerprinter = audit::fingerprinter(settings.salt_file.as_deref(), &SystemEntropy);
    let report = |wrong: Vec<_>| wrong.iter().for_each(|what| mistakes.add("audit.salt_file", what));
    (settings, fingerprinter.map_err(report).ok())
}

/// Reads the policy file. `everyone`: `--insecure-allow-all`.
pub(super) fn load_rules(
    file: Option<&Path>,
    projects: &[ProjectSettings],
    everyone: bool,
    mistakes: &Mistakes,
) -> Option<Rules> {
    let Some(path) = file else {
        if !everyone {
            mistakes.add(
                "policy.file",
                "is missing, so nobody could do anything; name a policy file, or let everyone do everything \
                 with --insecure-allow-all",
            );
        }
        return Some(Rules::for_everyone(Everyone::Usual));
    };
    let report = |wrong: Vec<_>| wrong.iter().for_each(|mistake| mistakes.add(path.display(), mistake));
    Rules::load(path, Some(&known(projects)), None).map_err(report).ok()
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
