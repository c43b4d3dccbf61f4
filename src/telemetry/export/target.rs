//! Where a signal is sent, and how.

use std::{fmt, path::Path, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TE, TRANSFER_ENCODING, UPGRADE},
};
use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect, retry};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use url::Url;

use super::{
    signal::OtlpProtocol,
    variables::{Variables, pairs},
};
use crate::{document::Mistake, error_chain::Causes, file, pem, telemetry::Signal};

/// For the connection and its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// When a silent connection is looked after, and how long that may take: one to a host that is gone is not used for long.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// For an export, its repetitions included: what the specification says.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// In milliseconds.
const LONGEST_TIMEOUT: u64 = 600_000;

/// The longest file of certificates, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

const NO_URL: &str =
    "must be an http or https URL without a user or password, such as \"http://collector:4317\"";

/// Headers by which the body is read: another value of one would break every export.
const OURS: [HeaderName; 7] =
    [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TE, TRANSFER_ENCODING, UPGRADE];

/// Where a signal is sent, and how.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) protocol: OtlpProtocol,
    /// Of HTTP with the signal's path.
    pub(super) url: Url,
    /// From the variables: they may hold secrets.
    pub(super) headers: HeaderMap,
    /// For an export, its repetitions included.
    pub(super) timeout: Duration,
    pub(super) client: Client,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// What the settings say of the collector.
pub(super) struct Defaults<'a> {
    pub(super) endpoint: Option<&'a Url>,
    pub(super) protocol: OtlpProtocol,
}

impl Target {
    /// `None`: neither the variables nor the settings name a collector.
    ///
    /// # Errors
    /// What the variables name is no URL of a collector, or there are no CA roots to verify it.
    pub(super) fn read(
        variables: &Variables<'_>,
        signal: Signal,
        defaults: &Defaults<'_>,
    ) -> Result<Option<Self>, Mistake> {
        let [own, shared] = signal.variables("ENDPOINT");
        let (mut url, place) = match (variables.get(&own), variables.get(&shared), defaults.endpoint) {
            (Some(text), ..) => (endpoint(&own, text)?, &own),
            (None, Some(text), _) => (endpoint(&shared, text)?, &shared),
            (None, None, Some(url)) => (url.clone(), &shared),
            (None, None, None) => return Ok(None),
        };
        let is_own = *place == own;
        let protocol = variables
            .choose(&signal.variables("PROTOCOL"), OtlpProtocol::EXPECTED, |text| {
                text.to_ascii_lowercase().parse().ok()
            })
            .unwrap_or(defaults.protocol);
        if protocol == OtlpProtocol::Http && !is_own {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), signal.http_path());
            url.set_path(&path);
        }
        if let Some((name, _)) = variables
            .first(&signal.variables("COMPRESSION"))
            .filter(|(_, value)| !value.eq_ignore_ascii_case("none"))
        {
            variables.warn(&name, "is not supported: nothing is compressed");
        }
        let timeout = variables.timeout(&signal.variables("TIMEOUT"), LONGEST_TIMEOUT);
        let client = client(&url, protocol, variables, signal).map_err(|error| {
            let what = format!(
                "no client can be made for it: {error}{}; are CA roots installed? Name a file of them \
                 by OTEL_EXPORTER_OTLP_CERTIFICATE",
                Causes(&error)
            );
            match defaults.endpoint {
                Some(_) if variables.get(place).is_none() => {
                    Mistake::in_setting("telemetry.otlp_endpoint", what)
                }
                _ => Mistake::in_variable(place, "", what),
            }
        })?;
        Ok(Some(Self {
            protocol,
            url,
            headers: headers(variables, signal),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            client,
        }))
    }
}

/// Whether a URL is one of a collector.
pub(crate) fn is_endpoint(url: &Url) -> bool {
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_http && url.username().is_empty() && url.password().is_none()
}

fn endpoint(variable: &str, text: &str) -> Result<Url, Mistake> {
    let url = Url::parse(text).ok().filter(is_endpoint);
    url.ok_or_else(|| Mistake::in_variable(variable, "", NO_URL))
}

/// `key=value` pairs, the values percent-encoded. A signal's own take the place of those that signals share.
fn headers(variables: &Variables<'_>, signal: Signal) -> HeaderMap {
    let Some((name, text)) = variables.first(&signal.variables("HEADERS")) else {
        return HeaderMap::new();
    };
    let mut headers = HeaderMap::new();
    for pair in pairs(text) {
        match pair.and_then(|(key, value)| header(&key, &value).ok_or(0)) {
            Ok((key, value)) => drop(headers.append(key, value)),
            Err(0) => variables.warn(&name, "has a header that cannot be set: it is left out"),
            Err(number) => {
                variables.warn(&name, &format!("has an item {number} that is no key=value: it is left out"));
            }
        }
    }
    headers
}

fn header(key: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let key = key.parse().ok().filter(|key| !OURS.contains(key))?;
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((key, value))
}

/// It follows no redirect and repeats nothing by itself. HTTPS goes through a proxy as `HTTPS_PROXY` and `NO_PROXY` say.
fn client(
    url: &Url,
    protocol: OtlpProtocol,
    variables: &Variables<'_>,
    signal: Signal,
) -> reqwest::Result<Client> {
    let builder = || {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .user_agent(concat!("inkpass/", env!("CARGO_PKG_VERSION")));
        match protocol {
            OtlpProtocol::Grpc => builder.http2_prior_knowledge(),
            OtlpProtocol::Http => builder,
        }
    };
    if url.scheme() == "http" {
        // Plaintext needs no CA roots, which an image may not have.
        return builder().tls_certs_only([]).no_proxy().build();
    }
    let roots = used(variables, &signal.variables("CERTIFICATE"), roots);
    let builder = || match &roots {
        Some(roots) => builder().tls_certs_only(roots.clone()),
        None => builder(),
    };
    with_identity(&builder, variables, signal).map_or_else(|| builder().build(), Ok)
}

/// With the certificate that the collector may ask for; `None`: there is none, or it cannot be used.
fn with_identity(
    builder: &impl Fn() -> ClientBuilder,
    variables: &Variables<'_>,
    signal: Signal,
) -> Option<Client> {
    let [certificates, keys] = ["CLIENT_CERTIFICATE", "CLIENT_KEY"].map(|option| signal.variables(option));
    if let (Some((name, _)), None) | (None, Some((name, _))) =
        (variables.first(&certificates), variables.first(&keys))
    {
        variables
            .warn(&name, "is of use only with both a certificate and its key: no certificate is presented");
        return None;
    }
    let certificate = used(variables, &certificates, read)?;
    let key = used(variables, &keys, read)?;
    let pem = [certificate, key].concat();
    let client = Identity::from_pem(&pem).and_then(|identity| builder().identity(identity).build());
    if client.is_err() {
        let (name, _) = variables.first(&keys)?;
        variables.warn(&name, "and the certificate are no pair in PEM form: no certificate is presented");
    }
    client.ok()
}

/// What is read from the file that the first of these variables names.
fn used<T>(
    variables: &Variables<'_>,
    names: &[String],
    read: impl Fn(&Path) -> Result<T, String>,
) -> Option<T> {
    let (name, path) = variables.first(names)?;
    let warn = |error| variables.warn(&name, &format!("names a file that {error}; it is left out"));
    read(Path::new(path)).map_err(warn).ok()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    file::read(path, LONGEST_FILE).map(|content| content.to_vec()).map_err(|error| error.to_string())
}

fn roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let content = read(path)?;
    let certificates = pem::certificates(&content)?;
    let is_ca =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    if !certificates.iter().all(is_ca) {
        return Err("holds something other than CAs".to_owned());
    }
    let certificates = certificates.iter().map(|certificate| Certificate::from_der(certificate));
    certificates.collect::<Result<_, _>>().map_err(|_| "cannot be read".to_owned())
}
