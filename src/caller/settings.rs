//! `[identity]`: which callers are authenticated, and how.

use std::{path::PathBuf, sync::Arc};

use url::Url;

use super::{ApiKeys, certificate::Certificates, fetch};
use crate::{
    document::Mistake,
    loopback::is_loopback_url,
    outgoing::Route,
    principal::{is_issuer_name, is_trust_domain},
};

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
    /// Through which proxy issuers' keys are fetched; never through one where the issuer is `kubernetes`.
    pub route: Route,
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
    /// A token to present to its server, read again for each fetch. Kubernetes gives its keys to any
    /// service account, and to unauthenticated callers only if its administrator says so.
    pub jwks_token_file: Option<PathBuf>,
}

/// `[identity]` with its files read: what [`super::Callers`] are made of.
#[derive(Debug)]
pub struct Identity {
    pub(super) api_keys: Option<Arc<ApiKeys>>,
    pub(super) issuers: Vec<IssuerSettings>,
    pub(super) certificates: Certificates,
    pub(super) route: Route,
}

impl Settings {
    /// Whether callers can present a token or an API key.
    #[must_use]
    pub const fn takes_bearer(&self) -> bool {
        self.api_keys_file.is_some() || !self.issuers.is_empty()
    }

    /// Judges the settings and reads the file of API keys. Issuers' CAs and tokens are read again for
    /// each fetch; here they are judged.
    ///
    /// # Errors
    /// Every mistake, also those in files.
    pub fn load(self) -> Result<Identity, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let api_keys = self.api_keys_file.map(ApiKeys::load).transpose();
        let api_keys = api_keys.unwrap_or_else(|found| {
            mistakes.extend(found);
            None
        });
        for (index, name) in self.trust_domains.iter().enumerate() {
            if !is_trust_domain(name) {
                mistakes.push(Mistake::in_setting(
                    format_args!("identity.trust_domains[{index}]"),
                    "must be 1 to 255 of a-z 0-9 . _ and -, such as \"example.org\", without spiffe://",
                ));
            }
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            mistakes.extend(issuer.mistakes(&self.issuers[..index]).into_iter().map(|(setting, what)| {
                Mistake::in_setting(format_args!("identity.issuers[{index}].{setting}"), what)
            }));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let certificates =
            Certificates { trust_domains: self.trust_domains, allow_dns_san: self.allow_dns_san };
        Ok(Identity {
            api_keys: api_keys.map(Arc::new),
            issuers: self.issuers,
            certificates,
            route: self.route,
        })
    }
}

impl IssuerSettings {
    /// What is wrong, each with its setting. `before`: the issuers before this one.
    fn mistakes(&self, before: &[Self]) -> Vec<(&'static str, String)> {
        let is_plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        let is_plaintext = self.jwks_url.scheme() == "http";
        let is_http = matches!(self.jwks_url.scheme(), "http" | "https") && self.jwks_url.host().is_some();
        let has_user = !self.jwks_url.username().is_empty() || self.jwks_url.password().is_some();
        let rules = [
            (is_issuer_name(&self.name), "name", "must be 1 to 63 of a-z 0-9 and -"),
            (is_plain(&self.issuer), "issuer", "must be its tokens' iss, without white space"),
            (
                is_plain(&self.audience),
                "audience",
                "must be the aud of tokens that are meant for this service, such as \"inkpass\"",
            ),
            (
                !self.kubernetes || self.audience != self.issuer,
                "audience",
                "is the API server's own: any token that a pod uses there would be taken here",
            ),
            (
                !is_plaintext || is_loopback_url(&self.jwks_url),
                "jwks_url",
                "must be https://, or on loopback: the sender of the keys decides who is who",
            ),
            (is_http, "jwks_url", "must be an https URL"),
            (
                !has_user && self.jwks_url.fragment().is_none(),
                "jwks_url",
                "must have no user and no fragment",
            ),
            (before.iter().all(|other| other.name != self.name), "name", "another issuer has the same"),
            (before.iter().all(|other| other.issuer != self.issuer), "issuer", "another issuer has the same"),
            (
                !self.kubernetes || before.iter().all(|other| !other.kubernetes),
                "kubernetes",
                "only one issuer can be: accounts of two clusters could not be told apart",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, ..)| !holds);
        let mut wrong: Vec<_> = broken.map(|(_, setting, what)| (setting, what.to_owned())).collect();
        if let Some(path) = &self.ca_file
            && let Err(what) = fetch::client(&self.jwks_url, &Route::Direct, Some(path))
        {
            wrong.push(("ca_file", what));
        }
        if let Some(path) = &self.jwks_token_file
            && let Err(error) = std::fs::metadata(path)
        {
            wrong.push(("jwks_token_file", format!("{} cannot be read: {error}", path.display())));
        }
        wrong
    }
}
