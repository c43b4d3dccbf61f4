//! TLS of the gRPC listener: what it is made of can change while connections are open, and each
//! new one gets what is newest.

use std::{
    fmt::Display,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;
use tonic::async_trait;

use crate::reload::Reload;

/// The TLS files of `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate, and those that lead to its CA: PEM.
    pub cert_file: PathBuf,
    /// The private key of the first: PEM, closed to other users.
    pub key_file: PathBuf,
    /// The CAs of callers' certificates: PEM. Without it no caller is asked for one; with it one
    /// who has none can still present a token or an API key.
    pub client_ca_file: Option<PathBuf>,
}

/// What the listener presents and asks for, as its files are now.
pub struct Tls {
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its file.
    pub fn load(settings: TlsSettings) -> Result<Self, Vec<String>> {
        let current = ArcSwap::new(build(&settings)?);
        Ok(Self { settings, current })
    }

    /// What shakes hands with the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
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
        self.current.store(build(&self.settings)?);
        Ok(())
    }
}

/// TLS 1.2 and 1.3, HTTP/2 alone. No session is resumed, so that every connection's certificate is
/// judged by the CAs of today.
fn build(settings: &TlsSettings) -> Result<Arc<ServerConfig>, Vec<String>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut mistakes = Vec::new();
    let chain = note(&mut mistakes, read_certificates(&settings.cert_file));
    let key = note(&mut mistakes, read_private_key(&settings.key_file));
    let ca = settings.client_ca_file.as_deref();
    let verifier = note(&mut mistakes, ca.map(|path| verifier(path, &provider)).transpose());
    let (Some(chain), Some(key), Some(verifier)) = (chain, key, verifier) else { return Err(mistakes) };

    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| vec![error.to_string()])?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| vec![about(&settings.key_file, error)])?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn note<T>(mistakes: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn about(path: &Path, what: impl Display) -> String {
    format!("{}: {what}", path.display())
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(none) if none.is_empty() => Err(about(path, "holds no certificate in PEM form")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(about(path, format_args!("cannot be read as PEM certificates: {error}"))),
    }
}

fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let metadata =
        fs::metadata(path).map_err(|error| about(path, format_args!("cannot be read: {error}")))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        let advice = "chmod 0440 it, or set the volume's defaultMode: 0440";
        return Err(about(path, format_args!("is open to other users (mode {mode:04o}): {advice}")));
    }
    // The parser's own words name a section or a position, never what is in it.
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| about(path, format_args!("cannot be read as a PEM private key: {error}")))
}

fn verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| about(path, format_args!("holds no CA: {error}")))?;
    }
    // Whoever presents no certificate must present something else.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| about(path, error))
}
