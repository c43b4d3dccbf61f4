//! A certificate authority, and files of what it signs.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::SystemTime};

use inkpass::tls::TlsSettings;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use super::place::Place;

/// A CA with a directory for PEM files.
pub(crate) struct Ca {
    directory: Place,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let ca = Self { directory: Place::new(), issuer: Issuer::new(params, key) };
        ca.write("ca.crt", &certificate.pem());
        ca
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Written beside and moved over, so that no reader sees half of it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let beside = self.path(&format!(".{name}"));
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o440)).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }

    /// Signs a certificate for these names, and puts it and its key into NAME.crt and NAME.key.
    pub(crate) fn sign(&self, name: &str, names: Vec<SanType>) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        self.sign_params(name, &params)
    }

    fn sign_params(&self, name: &str, params: &CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.key"), &key.serialize_pem());
        self.write(&format!("{name}.crt"), &certificate.pem());
        (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")))
    }

    /// A server's certificate for 127.0.0.1 and localhost.
    pub(crate) fn sign_server(&self) -> (PathBuf, PathBuf) {
        let loopback = SanType::IpAddress([127, 0, 0, 1].into());
        self.sign("tls", vec![loopback, SanType::DnsName("localhost".try_into().unwrap())])
    }

    /// The same, until then.
    pub(crate) fn sign_server_until(&self, end: SystemTime) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.not_after = end.into();
        self.sign_params("tls", &params)
    }

    /// A caller's, with a SPIFFE ID.
    pub(crate) fn sign_caller(&self, id: &str) -> (PathBuf, PathBuf) {
        self.sign("caller", vec![SanType::URI(id.try_into().unwrap())])
    }

    /// TLS with this CA's certificates, asking callers for theirs.
    pub(crate) fn settings(&self) -> TlsSettings {
        let (cert_file, key_file) = self.sign_server();
        TlsSettings { cert_file, key_file, client_ca_file: Some(self.path("ca.crt")), names: Vec::new() }
    }
}
