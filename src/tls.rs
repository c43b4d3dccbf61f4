//! TLS of the gRPC listener. Its files can change while connections are open; a new connection uses the
//! newest.

use std::{
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, pem::PemObject},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;
use tonic::async_trait;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    clock::{Clock, UnixMillis},
    document::Mistake,
    file::{self, FileError, OpenFile},
    pem,
    reload::{Reload, on_a_thread},
};

/// The longest file, in bytes: some hundred CAs.
const LONGEST_FILE: u64 = 1024 * 1024;

/// The TLS files of `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate chain: PEM.
    pub cert_file: PathBuf,
    /// The private key of its certificate: PEM, closed to other users.
    pub key_file: PathBuf,
    /// The CAs of callers' certificates: PEM. Without it no certificate is requested; with it a caller
    /// without one can still present a token or an API key.
    pub client_ca_file: Option<PathBuf>,
    /// Names or IP addresses that callers use for the service: its certificate must be for each of them. None: it is
    /// not looked at.
    pub names: Vec<TlsName>,
}

/// A DNS name or an IP address by which callers reach the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsName(ServerName<'static>);

impl FromStr for TlsName {
    type Err = InvalidDnsNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ServerName::try_from(text.to_owned()).map(Self)
    }
}

/// The listener's TLS configuration, reloaded with its files.
pub struct Tls {
    settings: TlsSettings,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Current>,
}

/// What the files hold.
struct Current {
    config: Arc<ServerConfig>,
    /// When the server's own certificate is valid, in seconds of Unix time.
    valid: RangeInclusive<i64>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Every mistake, each with its file; one is that the certificate is not valid now.
    pub fn load(settings: TlsSettings, clock: Arc<dyn Clock>) -> Result<Self, Vec<Mistake>> {
        let current = ArcSwap::from_pointee(build(&settings, clock.now())?);
        Ok(Self { settings, clock, current })
    }

    /// Whether the server's certificate is valid then.
    #[must_use]
    pub fn is_valid_at(&self, time: UnixMillis) -> bool {
        self.current.load().valid.contains(&seconds(time))
    }

    /// When the server's certificate expires, in Unix time.
    #[must_use]
    pub fn expires(&self) -> i64 {
        *self.current.load().valid.end()
    }

    /// Whether callers' certificates are requested.
    #[must_use]
    pub const fn asks_certificates(&self) -> bool {
        self.settings.client_ca_file.is_some()
    }

    /// The acceptor of the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().config.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.settings).finish()
    }
}

#[async_trait]
impl Reload for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn files(&self) -> Vec<PathBuf> {
        let TlsSettings { cert_file, key_file, client_ca_file, .. } = &self.settings;
        [cert_file, key_file].into_iter().chain(client_ca_file).cloned().collect()
    }

    fn describe(&self) -> String {
        let expires = UNIX_EPOCH + Duration::from_secs(self.expires().try_into().unwrap_or_default());
        format!("a certificate that expires at {}", humantime::format_rfc3339_seconds(expires))
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let (settings, now) = (self.settings.clone(), self.clock.now());
        self.current.store(Arc::new(on_a_thread(move || build(&settings, now)).await?));
        Ok(())
    }
}

/// TLS 1.2 and 1.3, HTTP/2 only. No session is resumed, so that every connection's certificate is
/// verified by the current CAs.
fn build(settings: &TlsSettings, now: UnixMillis) -> Result<Current, Vec<Mistake>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut mistakes = Vec::new();
    let chain = note(&mut mistakes, read_certificates(&settings.cert_file));
    let key = note(&mut mistakes, read_private_key(&settings.key_file));
    let ca = settings.client_ca_file.as_deref();
    let verifier = note(&mut mistakes, ca.map(|path| verifier(path, &provider)).transpose());
    let in_cert_file = |why: String| Mistake::in_file(&settings.cert_file, why);
    let own = chain.as_deref().and_then(<[_]>::first);
    let valid = own.map(|own| validity(own, now)).transpose();
    let valid = note(&mut mistakes, valid.map_err(in_cert_file));
    let foreign = own.map(|own| foreign_names(own, &settings.names)).into_iter().flatten();
    mistakes.extend(foreign.map(|name| in_cert_file(format!("holds a certificate that is not for {name}"))));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (Some(chain), Some(key), Some(verifier), Some(Some(valid))) = (chain, key, verifier, valid) else {
        return Err(mistakes);
    };

    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| vec![Mistake::in_setting("server", error)])?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error @ Error::InconsistentKeys(_)) => {
            return Err(vec![Mistake::in_file(&settings.key_file, error)]);
        }
        // It was parsed above, so this is a form that no caller takes.
        Err(error) => {
            let why =
                format!("holds a certificate that cannot be used, which takes X.509 version 3: {error}");
            return Err(vec![in_cert_file(why)]);
        }
    }
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Current { config: Arc::new(config), valid })
}

/// When a certificate is valid, in seconds of Unix time.
///
/// # Errors
/// It is not now, or cannot be read.
pub(crate) fn validity(
    certificate: &CertificateDer<'_>,
    now: UnixMillis,
) -> Result<RangeInclusive<i64>, String> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| "holds a certificate that cannot be read".to_owned())?;
    let validity = certificate.validity();
    let valid = validity.not_before.timestamp()..=validity.not_after.timestamp();
    match seconds(now) {
        now if now < *valid.start() => {
            Err(format!("holds a certificate that is not valid before {}", validity.not_before))
        }
        now if now > *valid.end() => {
            Err(format!("holds a certificate that expired at {}", validity.not_after))
        }
        _ => Ok(valid),
    }
}

/// Which of these names a certificate is not for.
fn foreign_names(certificate: &CertificateDer<'_>, names: &[TlsName]) -> Vec<String> {
    let certificate = ParsedCertificate::try_from(certificate);
    let is_foreign = |TlsName(name): &&TlsName| {
        certificate.as_ref().is_ok_and(|certificate| verify_server_name(certificate, name).is_err())
    };
    names.iter().filter(is_foreign).map(|TlsName(name)| name.to_str().into_owned()).collect()
}

fn seconds(time: UnixMillis) -> i64 {
    i64::try_from(time.get() / 1000).unwrap_or(i64::MAX)
}

fn note<T>(mistakes: &mut Vec<Mistake>, result: Result<T, Mistake>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

/// The certificates of a file in PEM form: one at least.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let content = file::read(path, LONGEST_FILE).map_err(|error| Mistake::in_file(path, error))?;
    pem::certificates(&content).map_err(|why| Mistake::in_file(path, why))
}

/// Reads a private key; wipes the file's content.
fn read_private_key(path: &Path) -> Result<Arc<dyn SigningKey>, Mistake> {
    let content = read_closed(path).map_err(|error| Mistake::in_file(path, error))?;
    let mut key = PrivateKeyDer::from_pem_slice(&content)
        .map_err(|error| Mistake::in_file(path, pem::in_our_words(&error)))?;
    let signs = aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    signs.map_err(|error| Mistake::in_file(path, error))
}

fn read_closed(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = OpenFile::open(path)?;
    file.check_closed()?;
    file.read(LONGEST_FILE)
}

fn verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Mistake> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| Mistake::in_file(path, format_args!("holds no CA: {error}")))?;
    }
    // A caller without a certificate must present another credential.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Mistake::in_file(path, error))
}
