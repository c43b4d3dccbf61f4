//! What the log says at the start: the settings that are in effect, and what was read from files. Never a secret.

use std::sync::Arc;

use crate::{config::Config, reload::Reload, tls::Tls};

/// The settings in effect.
pub(super) fn settings(config: &Config) {
    let projects: Vec<_> = config.projects.iter().map(|project| &*project.name).collect();
    let tls = config.server.tls.as_ref();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.server.listen,
        admin_listen = %config.admin_listen,
        tls = tls.is_some(),
        client_certificates = tls.is_some_and(Tls::asks_certificates),
        authentication = config.identity.is_some(),
        projects = projects.join(", "),
        grants = config.rules.grants().len(),
        upstream = config.whiteboard.base_url.as_str(),
        audit = %config.audit.output,
        audit_on_failure = config.audit.on_failure.as_str(),
        store = config.store.is_some(),
        sampling = config.telemetry.export.sampling(),
        log_level = config.telemetry.log_level.as_str(),
        access_log = config.telemetry.access_log.as_str(),
        "starting"
    );
}

/// What is in use of the files that are read again when they change.
pub(super) fn files(files: &[Arc<dyn Reload>]) {
    for file in files {
        tracing::info!(what = file.name(), in_use = file.describe(), "files are in use");
    }
}
