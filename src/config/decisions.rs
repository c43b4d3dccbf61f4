//! `[policy]` and `[audit]`: what may be done, and where that is written.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    projects::read_projects,
    section::{Section, SettingsFile},
    sources::Sources,
};
use crate::{
    audit::{self, Output},
    document::Mistake,
    entropy::SystemEntropy,
    keyring::{ProjectSettings, default_project},
    policy::{Everyone, KnownProjects, Rules},
    token::Fingerprinter,
};

/// The settings that a policy is judged by.
#[derive(Debug, Default)]
pub struct PolicySettings {
    /// `policy.file`.
    pub file: Option<PathBuf>,
    /// `[projects]`.
    pub projects: Vec<ProjectSettings>,
}

/// Reads `[policy]` and `[projects]` alone, and none of the files that they name.
///
/// # Errors
/// Every mistake in the two; other sections are not looked at.
pub fn load_policy_settings(sources: &Sources) -> Result<PolicySettings, Vec<Mistake>> {
    let file = SettingsFile::read(sources)?;
    let read = file.root().map(|mut root| {
        let settings = PolicySettings {
            file: root.overlaid("policy").take("file"),
            projects: read_projects(&mut root, &file),
        };
        root.ignore_rest();
        settings
    });
    file.finish(read)
}

/// The projects that a policy may name.
#[must_use]
pub fn known(projects: &[ProjectSettings]) -> KnownProjects {
    let default = default_project(projects.iter().map(|project| (&*project.name, project.is_default)));
    KnownProjects {
        names: projects.iter().map(|project| project.name.clone()).collect(),
        default: default.map(str::to_owned),
    }
}

/// Reads the policy file. `everyone`: `--insecure-allow-all`.
pub(super) fn load_rules(
    path: Option<&Path>,
    projects: &[ProjectSettings],
    everyone: bool,
    file: &SettingsFile,
) -> Option<Rules> {
    if let Some(path) = path {
        return file.note(Rules::load(path, Some(&known(projects)), None));
    }
    if !everyone {
        file.wrong(
            "policy.file",
            "is missing, so everything would be denied; name a policy file, or let everyone do everything \
             with --insecure-allow-all",
        );
    }
    Some(Rules::for_everyone(Everyone::Usual))
}

/// Lines are appended to the output, so it must be none of the files that are read.
pub(super) fn check_output<'a>(
    output: &Output,
    mut files: impl Iterator<Item = &'a Path>,
    file: &SettingsFile,
) {
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let Output::File(output) = output else { return };
    let is_output =
        |path: &Path| path == output || identity(path).is_some_and(|id| identity(output) == Some(id));
    if files.any(is_output) {
        file.wrong(
            "audit.output",
            "is a file that another setting names, and audit lines would be appended to it",
        );
    }
}

pub(super) fn read_audit(
    section: &mut Section<'_>,
    file: &SettingsFile,
) -> (audit::Settings, Option<Fingerprinter>) {
    let settings = audit::Settings {
        output: section.take("output").unwrap_or_default(),
        on_failure: section.take("on_failure").unwrap_or_default(),
        salt_file: section.take("salt_file"),
    };
    if let Output::File(path) = &settings.output {
        let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        if path.is_dir() || !directory.is_dir() {
            file.wrong("audit.output", "must be stdout, or a file in a directory that exists");
        }
    }
    let fingerprinter = audit::fingerprinter(settings.salt_file.as_deref(), &SystemEntropy);
    let report = |wrong: Vec<_>| wrong.iter().for_each(|what| file.wrong("audit.salt_file", what));
    (settings, fingerprinter.map_err(report).ok())
}
