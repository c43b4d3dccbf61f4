//! `[identity]`, the listener's TLS, and how they fit together: no service is open to everyone by
//! accident.

use std::net::SocketAddr;

use super::section::{Section, SettingsFile};
use crate::{
    caller::{self, IssuerSettings},
    tls::TlsSettings,
};

/// How the gRPC listener's callers reach it.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsSettings>,
    /// Something else, such as a mesh, encrypts for it.
    pub(super) plaintext: bool,
}

impl Listener {
    /// Whether callers are asked for certificates.
    pub(super) fn asks_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some())
    }
}

pub(super) fn read(section: &mut Section<'_>) -> caller::Settings {
    caller::Settings {
        api_keys_file: section.take("api_keys_file"),
        trust_domains: section.values("trust_domains"),
        allow_dns_san: section.take("allow_dns_san").unwrap_or(false),
        issuers: section.list("issuers", read_issuer),
        ..caller::Settings::default()
    }
}

fn read_issuer(section: &mut Section<'_>) -> Option<IssuerSettings> {
    let (name, issuer) = (section.need("name"), section.need("issuer"));
    let (audience, jwks_url) = (section.need("audience"), section.need("jwks_url"));
    let kubernetes = section.take("kubernetes").unwrap_or(false);
    let (ca_file, jwks_token_file) = (section.take("ca_file"), section.take("jwks_token_file"));
    Some(IssuerSettings {
        name: name?,
        kubernetes,
        issuer: issuer?,
        audience: audience?,
        jwks_url: jwks_url?,
        ca_file,
        jwks_token_file,
    })
}

pub(super) fn read_tls(server: &mut Section<'_>, file: &SettingsFile) -> Option<TlsSettings> {
    let (cert_file, key_file) = (server.take("tls_cert_file"), server.take("tls_key_file"));
    let (client_ca_file, names) = (server.take("client_ca_file"), server.values("tls_names"));
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => {
            return Some(TlsSettings { cert_file, key_file, client_ca_file, names });
        }
        (Some(_), None) => file.wrong("server.tls_key_file", "is missing; it goes with server.tls_cert_file"),
        (None, Some(_)) => file.wrong("server.tls_cert_file", "is missing; it goes with server.tls_key_file"),
        (None, None) if client_ca_file.is_some() => file.wrong(
            "server.client_ca_file",
            "asks for certificates, so it needs server.tls_cert_file and server.tls_key_file",
        ),
        (None, None) if !names.is_empty() => file.wrong(
            "server.tls_names",
            "are a certificate's, so they need server.tls_cert_file and server.tls_key_file",
        ),
        (None, None) => {}
    }
    None
}

/// What must hold of the two together. `everyone`: `--insecure-allow-all`.
pub(super) fn check(identity: &caller::Settings, listener: &Listener, everyone: bool, file: &SettingsFile) {
    let bearer = identity.takes_bearer();
    let names_certificates = !identity.trust_domains.is_empty() || identity.allow_dns_san;
    let asks_certificates = listener.asks_certificates();
    if names_certificates != asks_certificates {
        file.wrong(
            "identity",
            "server.client_ca_file asks callers for certificates, and identity.trust_domains or \
             identity.allow_dns_san says which of them are callers: set both or neither",
        );
    }
    if !bearer && !asks_certificates && !everyone {
        file.wrong(
            "identity",
            "no caller could be authenticated: set identity.issuers, identity.api_keys_file or server.client_ca_file with \
             identity.trust_domains, or allow unauthenticated callers with --insecure-allow-all",
        );
    }
    let is_clear = listener.tls.is_none() && !listener.plaintext && !listener.address.ip().is_loopback();
    if bearer && is_clear {
        file.wrong(
            "server",
            "tokens and API keys would cross the network in the clear: set server.tls_cert_file and \
             server.tls_key_file, or server.plaintext = true where a mesh encrypts",
        );
    }
    if listener.plaintext && listener.tls.is_some() {
        file.wrong("server.plaintext", "must be false where there is TLS");
    }
}
