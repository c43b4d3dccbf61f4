//! TLS of the gRPC listener. Its files can change while connections are open; a new connection uses the
//! newest.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;
use tonic::async_trait;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    document::Mistake,
    file::{self, FileError, OpenFile},
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
}

/// The listener's TLS configuration, reloaded with its files.
pub struct Tls {
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Every mistake, each with its file.
    pub fn load(settings: TlsSettings) -> Result<Self, Vec<Mistake>> {
        let current = ArcSwap::new(build(&settings)?);
        Ok(Self { settings, current })
    }

    /// Whether callers' certificates are requested.
    #[must_use]
    pub const fn asks_certificates(&self) -> bool {
        self.settings.client_ca_file.is_some()
    }

    /// The acceptor of the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
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
        let TlsSettings { cert_file, key_file, client_ca_file } = &self.settings;
        [cert_file, key_file].into_iter().chain(client_ca_file).cloned().collect()
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let settings = self.settings.clone();
        self.current.store(on_a_thread(move || build(&settings)).await?);
        Ok(())
    }
}

/// TLS 1.2 and 1.3, HTTP/2 only. No session is resumed, so that every connection's certificate is
/// verified by the current CAs.
fn build(settings: &TlsSettings) -> Result<Arc<ServerConfig>, Vec<Mistake>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut mistakes = Vec::new();
    let chain = note(&mut mistakes, read_certificates(&settings.cert_file));
    let key = note(&mut mistakes, read_private_key(&settings.key_file));
    let ca = settings.client_ca_file.as_deref();
    let verifier = note(&mut mistakes, ca.map(|path| verifier(path, &provider)).transpose());
    let (Some(chain), Some(key), Some(verifier)) = (chain, key, verifier) else { return Err(mistakes) };

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
        Err(error) => return Err(vec![Mistake::in_file(&settings.key_file, error)]),
    }
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn note<T>(mistakes: &mut Vec<Mistake>, result: Result<T, Mistake>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let content = file::read(path, LONGEST_FILE).map_err(|error| Mistake::in_file(path, error))?;
    match CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>() {
        Ok(none) if none.is_empty() => Err(Mistake::in_file(path, "holds no certificate in PEM form")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(Mistake::in_file(path, in_our_words(&error))),
    }
}

/// Reads a private key; wipes the file's content.
fn read_private_key(path: &Path) -> Result<Arc<dyn SigningKey>, Mistake> {
    let content = read_closed(path).map_err(|error| Mistake::in_file(path, error))?;
    let mut key = PrivateKeyDer::from_pem_slice(&content)
        .map_err(|error| Mistake::in_file(path, in_our_words(&error)))?;
    let signs = aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    signs.map_err(|error| Mistake::in_file(path, error))
}

/// The parser's message quotes the file, which may hold a private key.
const fn in_our_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "holds no PEM item of the expected kind",
        pem::Error::IllegalSectionStart { .. } | pem::Error::MissingSectionEnd { .. } => {
            "is not PEM: each -----BEGIN and each -----END must be on a line of its own, and in pairs"
        }
        pem::Error::Base64Decode(_) => "is not PEM: the text between BEGIN and END is not base64",
        _ => "cannot be read as PEM",
    }
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
