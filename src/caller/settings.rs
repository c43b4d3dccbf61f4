//! `[identity]`: whom to believe.

use std::{collections::HashSet, fmt::Display, path::PathBuf};

use url::{Host, Url};

use super::{ApiKeys, fetch};
use crate::principal::{is_issuer_name, is_trust_domain};

/// `[identity]`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file of API keys' digests: see [`ApiKeys`].
    pub api_keys_file: Option<PathBuf>,
    /// Whose SPIFFE IDs are accepted.
    pub trust_domains: Vec<String>,
    /// Whether a certificate without a URI is `dns:<name>`.
    pub allow_dns_san: bool,
    /// Whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
}

/// One of `identity.issuers`.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its name in principals, logs and metrics: 1 to 63 of a–z, 0–9 and `-`.
    pub name: String,
    /// Whether its subjects are the service accounts of a Kubernetes cluster, the one cluster whose
    /// accounts are `k8s:…`.
    pub kubernetes: bool,
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// What must be among the `aud` of its tokens.
    pub audience: String,
    /// Where its keys are; `http://` on loopback only.
    pub jwks_url: Url,
    /// The CAs that its server is trusted by, in PEM form; those of the system if there is none.
    pub ca_file: Option<PathBuf>,
    /// A token to present to its server, read anew for each fetch. Kubernetes gives its keys to any
    /// service account, and to no stranger unless its administrator says so.
    pub jwks_token_file: Option<PathBuf>,
}

impl Settings {
    /// Reports every mistake, also those in files, with the setting or file that it is in.
    pub fn validate(&self, mut mistake: impl FnMut(&dyn Display, &dyn Display)) {
        if let Some(path) = &self.api_keys_file
            && let Err(mistakes) = ApiKeys::load(path.clone())
        {
            for what in mistakes {
                mistake(&"identity.api_keys_file", &what);
            }
        }
        for (index, name) in self.trust_domains.iter().enumerate() {
            if !is_trust_domain(name) {
                mistake(
                    &format_args!("identity.trust_domains[{index}]"),
                    &"must be 1 to 255 of a-z 0-9 . _ and -, such as \"example.org\", without spiffe://",
                );
            }
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            let path = |setting: &str| format!("identity.issuers[{index}].{setting}");
            issuer.validate(&mut |setting, what| mistake(&path(setting), what));
        }
        self.validate_together(mistake);
    }

    /// What must differ from issuer to issuer.
    fn validate_together(&self, mut mistake: impl FnMut(&dyn Display, &dyn Display)) {
        let (mut names, mut issuers, mut clusters) = (HashSet::new(), HashSet::new(), 0);
        for (index, issuer) in self.issuers.iter().enumerate() {
            let path = |setting: &str| format!("identity.issuers[{index}].{setting}");
            if !names.insert(&issuer.name) {
                mistake(&path("name"), &"another issuer has the same");
            }
            if !issuers.insert(&issuer.issuer) {
                mistake(&path("issuer"), &"another issuer has the same");
            }
            clusters += usize::from(issuer.kubernetes);
            if issuer.kubernetes && clusters > 1 {
                mistake(
                    &path("kubernetes"),
                    &"only one issuer can be: accounts of two clusters could not be told apart",
                );
            }
        }
    }
}

impl IssuerSettings {
    fn validate(&self, mistake: &mut dyn FnMut(&str, &dyn Display)) {
        if !is_issuer_name(&self.name) {
            mistake("name", &"must be 1 to 63 of a-z 0-9 and -");
        }
        let is_plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        if !is_plain(&self.issuer) {
            mistake("issuer", &"must be its tokens' iss, without white space");
        }
        if !is_plain(&self.audience) {
            mistake(
                "audience",
                &"must be the aud of tokens that are meant for this service, such as \"inkpass\"",
            );
        }
        if self.kubernetes && self.audience == self.issuer {
            mistake(
                "audience",
                &"is the API server's own: any token that a pod uses there would be taken here",
            );
        }
        self.validate_source(mistake);
    }

    fn validate_source(&self, mistake: &mut dyn FnMut(&str, &dyn Display)) {
        let is_plaintext = self.jwks_url.scheme() == "http";
        if is_plaintext && !is_loopback(&self.jwks_url) {
            mistake(
                "jwks_url",
                &"must be https://, or on loopback: whoever sends the keys decides who is who",
            );
        }
        if !matches!(self.jwks_url.scheme(), "http" | "https") || self.jwks_url.host().is_none() {
            mistake("jwks_url", &"must be an https URL");
        }
        let has_user = !self.jwks_url.username().is_empty() || self.jwks_url.password().is_some();
        if has_user || self.jwks_url.fragment().is_some() {
            mistake("jwks_url", &"must have no user and no fragment");
        }
        if let Some(path) = &self.ca_file
            && let Err(what) = fetch::client(false, Some(path))
        {
            mistake("ca_file", &what);
        }
        if let Some(path) = &self.jwks_token_file
            && let Err(error) = std::fs::metadata(path)
        {
            mistake("jwks_token_file", &format_args!("{} cannot be read: {error}", path.display()));
        }
    }
}

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
