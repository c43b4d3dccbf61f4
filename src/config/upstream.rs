//! `[whiteboard]`, `[watch]` and `[telemetry]`: what the service calls.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use url::Url;

use super::{
    section::{Section, SettingsFile},
    setting::CollectorUrl,
};
use crate::{
    caller::IssuerSettings,
    clock::{Clock, SystemClock},
    document::Mistake,
    loopback::is_loopback_url,
    outgoing::{Roots, Route, unspoken_proxy},
    region::Region,
    telemetry::{self, AccessLog, ExportSettings, Exported, LogLevel, OtlpProtocol, is_endpoint},
    watcher, whiteboard,
};

/// Where the vendor serves the whiteboard API.
const VENDOR: &str = "https://api.netless.link";

const BASE_URLS: &str = "whiteboard.base_urls";

/// `propagates`: whether the variables let a trace go on at all.
pub(super) fn read_whiteboard(
    section: &mut Section<'_>,
    propagates: bool,
    file: &SettingsFile,
) -> Option<whiteboard::Settings> {
    let base_url = section.take("base_url").or_else(|| Url::parse(VENDOR).ok());
    let allow_plaintext = section.take("allow_plaintext").unwrap_or(false);
    let check = |path: &str, url: &Url| check_base_url(path, url, allow_plaintext, file);
    let base_url = base_url.inspect(|url| check("whiteboard.base_url", url));
    let base_urls = read_base_urls(&mut section.section("base_urls"), file);
    for (region, url) in &base_urls {
        check(&format!("{BASE_URLS}.{region}"), url);
    }
    let ca_file: Option<PathBuf> = section.take("ca_file");
    let roots = ca_file.map(|path| Roots::load(&path, SystemClock.now()).map_err(|mistake| vec![mistake]));
    let roots = roots.and_then(|roots| file.note(roots));
    let route = section.take("proxy").map_or(Route::Environment, Route::Proxy);
    let switch_scene_role = section.take("switch_scene_role");
    let try_new_keys = section.take("try_new_keys");
    let propagate_trace = section.take("propagate_trace");
    let defaults = whiteboard::Settings::new(base_url?);
    Some(whiteboard::Settings {
        base_urls,
        roots,
        route,
        switch_scene_role: switch_scene_role.unwrap_or(defaults.switch_scene_role),
        try_new_keys: try_new_keys.unwrap_or(defaults.try_new_keys),
        propagate_trace: propagates && propagate_trace.unwrap_or(defaults.propagate_trace),
        ..defaults
    })
}

/// By region.
fn read_base_urls(section: &mut Section<'_>, file: &SettingsFile) -> BTreeMap<Region, Url> {
    let mut urls = BTreeMap::new();
    for name in section.names() {
        let url: Option<Url> = section.take(&name);
        match name.parse() {
            Ok(region) => urls.extend(url.map(|url| (region, url))),
            Err(unknown) => file.wrong(&format!("{BASE_URLS}.{name}"), format_args!("the region {unknown}")),
        }
    }
    urls
}

fn check_base_url(path: &str, url: &Url, allow_plaintext: bool, file: &SettingsFile) {
    if url.scheme() == "http" && !allow_plaintext && !is_loopback_url(url) {
        file.wrong(
            path,
            "http:// would send tokens in the clear; use https://, or set whiteboard.allow_plaintext = true",
        );
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        file.wrong(path, "must have no user, query or fragment");
    }
    if url.path_segments().is_some_and(|mut parts| parts.any(|part| part == "v5")) {
        file.wrong(path, "must end before /v5, which every call adds");
    }
}

/// A proxy that the variables name for the upstream, or for an issuer's keys, is spoken to by HTTP.
pub(super) fn check_proxy(
    environment: &[(OsString, OsString)],
    whiteboard: Option<&whiteboard::Settings>,
    issuers: &[IssuerSettings],
    file: &SettingsFile,
) {
    let Some(whiteboard::Settings { base_url, base_urls, route: Route::Environment, .. }) = whiteboard else {
        return;
    };
    let issuers = issuers.iter().filter(|issuer| !issuer.kubernetes).map(|issuer| &issuer.jwks_url);
    let mut urls = base_urls.values().chain([base_url]).chain(issuers);
    if let Some(variable) = urls.find_map(|url| unspoken_proxy(environment, url)) {
        let what =
            "names a SOCKS proxy, which is not spoken; name one of HTTP or HTTPS, or set whiteboard.proxy";
        let _: Option<()> = file.note(Err(vec![Mistake::in_variable(variable, "", what)]));
    }
}

pub(super) fn read_telemetry(
    section: &mut Section<'_>,
    environment: &[(OsString, OsString)],
    file: &SettingsFile,
) -> Option<telemetry::Settings> {
    let endpoint = section.take("otlp_endpoint").map(|CollectorUrl(url)| url);
    if endpoint.as_ref().is_some_and(|url| !is_endpoint(url)) {
        file.wrong(
            "telemetry.otlp_endpoint",
            "must have no user or password; set OTEL_EXPORTER_OTLP_HEADERS",
        );
    }
    let protocol = section.take("otlp_protocol").unwrap_or(OtlpProtocol::Grpc);
    let sampling_ratio = section.take("sampling_ratio").unwrap_or(0.05);
    if !(0.0..=1.0).contains(&sampling_ratio) {
        file.wrong("telemetry.sampling_ratio", "must be 0.0 to 1.0");
    }
    let log_format = section.take("log_format");
    let log_level = section.take("log_level").unwrap_or(LogLevel::Info);
    let access_log = section.take("access_log").unwrap_or(AccessLog::Errors);
    let export = ExportSettings::read(environment, &Exported { endpoint, protocol, sampling_ratio });
    Some(telemetry::Settings { log_format, log_level, access_log, export: file.note(export)? })
}

/// Only an emulator, which is recognized by plaintext, may be polled faster than the vendor asks for.
pub(super) fn read_watch(
    section: &mut Section<'_>,
    whiteboard: Option<&whiteboard::Settings>,
    file: &SettingsFile,
) -> watcher::Settings {
    let defaults = watcher::Settings::default();
    let mut take = |name| section.take::<humantime::Duration>(name).map(Duration::from);
    let max_duration = take("max_duration").unwrap_or(defaults.max_duration);
    let poll_interval = take("poll_interval").unwrap_or(defaults.poll_interval);
    let is_emulator = whiteboard.is_some_and(whiteboard::Settings::is_emulator);
    if poll_interval.is_zero() || (poll_interval < defaults.poll_interval && !is_emulator) {
        file.wrong("watch.poll_interval", "must be 3s or more; less is for an http:// base_url, an emulator");
    }
    if max_duration < Duration::from_secs(1) || max_duration > defaults.max_duration {
        file.wrong("watch.max_duration", "must be 1s to 4m, so that a watch ends before its connection does");
    }
    watcher::Settings { max_duration, poll_interval }
}
