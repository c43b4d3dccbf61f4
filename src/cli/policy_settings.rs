//! What `inkpass policy explain` needs of the settings file: the policy file and the projects.
//!
//! It loads no keys, so that it works without read access to them; `check` validates all settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use toml::{Table, Value};

use super::Failure;
use crate::{config::Sources, policy::KnownProjects, region::Region};

#[derive(Default)]
pub(super) struct PolicySettings {
    /// `policy.file`.
    pub(super) file: Option<PathBuf>,
    /// `[projects]`.
    pub(super) projects: Option<KnownProjects>,
    /// The default region of each project that has one.
    pub(super) regions: BTreeMap<String, Region>,
}

pub(super) fn read_settings(sources: &Sources) -> Result<PolicySettings, Failure> {
    let Some(path) = &sources.file else { return Ok(PolicySettings::default()) };
    let wrong = |what: String| Failure::Usage(vec![format!("{}: {what}", path.display())]);
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| wrong(format!("is not TOML: {}", error.message())))?;

    let variable = sources.environment.iter().find(|(name, _)| name == "INKPASS_POLICY__FILE");
    let file = match variable {
        Some((_, file)) => Some(file.into()),
        None => table
            .get("policy")
            .and_then(|policy| policy.get("file"))
            .and_then(Value::as_str)
            .map(PathBuf::from),
    };
    let projects = table.get("projects").and_then(Value::as_table).cloned().unwrap_or_default();
    let names: BTreeSet<String> = projects.keys().cloned().collect();
    let is_default =
        |(_, project): &(&String, &Value)| project.get("default").and_then(Value::as_bool) == Some(true);
    let default = projects.iter().find(is_default).map(|(name, _)| name.clone());
    let only = names.first().filter(|_| names.len() == 1).cloned();
    let regions = projects.iter().filter_map(|(name, project)| {
        let region = project.get("region").and_then(Value::as_str)?.parse().ok()?;
        Some((name.clone(), region))
    });
    let regions = regions.collect();
    Ok(PolicySettings { file, projects: Some(KnownProjects { names, default: default.or(only) }), regions })
}
