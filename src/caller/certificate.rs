//! The principal of a connection's certificate.
//!
//! That its chain leads to a CA of ours and that the caller holds its key was verified when the
//! connection was made; what its name means is decided here.

use rustls_pki_types::CertificateDer;
use x509_parser::{
    asn1_rs::Tag, certificate::X509Certificate, error::X509Error, extensions::GeneralName, prelude::FromDer,
};

use super::Cause;
use crate::{
    clock::UnixMillis,
    principal::{Principal, trust_domain},
};

/// Which names are principals.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) trust_domains: Vec<String>,
    pub(super) allow_dns_san: bool,
}

impl Certificates {
    /// The principal of the certificate that the caller itself has, which comes first.
    pub(super) fn identify(&self, leaf: &CertificateDer<'_>, now: UnixMillis) -> Result<Principal, Cause> {
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| Cause::Certificate)?;
        if !rest.is_empty() || can_sign(&certificate).map_err(|_| Cause::Certificate)? {
            return Err(Cause::Certificate);
        }
        // Again, because a connection can outlive its certificate.
        let now = i64::try_from(now.get() / 1000).unwrap_or(i64::MAX);
        if now < certificate.validity().not_before.timestamp() {
            return Err(Cause::NotYetValid);
        }
        if now > certificate.validity().not_after.timestamp() {
            return Err(Cause::Expired);
        }
        let names = certificate.subject_alternative_name().map_err(|_| Cause::Certificate)?;
        self.name(names.map_or(&[], |extension| &extension.value.general_names))
    }

    fn name(&self, names: &[GeneralName<'_>]) -> Result<Principal, Cause> {
        if let Some(uri) = only(names, URI)? {
            let domain = trust_domain(uri).ok_or(Cause::CertificateName)?;
            if !self.trust_domains.iter().any(|trusted| trusted == domain) {
                return Err(Cause::TrustDomain);
            }
            return uri.parse().map_err(|_| Cause::CertificateName);
        }
        match only(names, DNS_NAME)? {
            Some(name) if self.allow_dns_san => {
                format!("dns:{name}").parse().map_err(|_| Cause::CertificateName)
            }
            _ => Err(Cause::CertificateName),
        }
    }
}

/// The kinds of names in RFC 5280, section 4.2.1.6, by their tags.
const DNS_NAME: Tag = Tag(2);
const URI: Tag = Tag(6);

/// The only name of a kind; `None` if there is none. One that cannot be read counts too.
fn only<'a>(names: &'a [GeneralName<'_>], kind: Tag) -> Result<Option<&'a str>, Cause> {
    let mut found = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(text) if kind == DNS_NAME => Some(Ok(*text)),
        GeneralName::URI(text) if kind == URI => Some(Ok(*text)),
        GeneralName::Invalid(tag, _) if *tag == kind => Some(Err(Cause::CertificateName)),
        _ => None,
    });
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => name.map(Some),
        (Some(_), Some(_)) => Err(Cause::CertificateName),
    }
}

/// A certificate that signs others is no workload's: X.509-SVID, sections 4.1 and 4.3.
fn can_sign(certificate: &X509Certificate<'_>) -> Result<bool, X509Error> {
    let is_ca = certificate.basic_constraints()?.is_some_and(|extension| extension.value.ca);
    let usage = certificate.key_usage()?;
    Ok(is_ca || usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()))
}
