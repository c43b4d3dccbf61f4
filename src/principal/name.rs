//! One grammar of names, to the letter: [`Principal`] cannot be made otherwise.

use std::{
    borrow::Borrow,
    fmt::{self, Display},
    str::FromStr,
    sync::{Arc, LazyLock},
};

use super::spiffe::{consists_of, trust_domain};

/// An authenticated caller. Cheap to clone.
///
/// | form | who |
/// |---|---|
/// | `k8s:<namespace>/<service account>` | a Kubernetes service account |
/// | `oidc:<issuer name>/<subject>` | a subject of another OIDC issuer |
/// | `spiffe://<trust domain>/<path>` | a workload with a SPIFFE ID in its certificate |
/// | `dns:<name>` | a workload with a DNS name in its certificate |
/// | `key:<name>` | the holder of an API key |
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

/// The text is no principal. The message says what is one, of the scheme that the text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a principal is {0}")]
pub struct NotAPrincipal(&'static str);

impl Principal {
    /// The caller of a service that authenticates nobody. No text parses as this one.
    #[must_use]
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal("anonymous".into()));
        ANONYMOUS.clone()
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Principal {
    type Err = NotAPrincipal;

    /// The only way to make one, so that each has one of the forms to the letter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

/// The grammar.
pub(super) fn check(text: &str) -> Result<(), NotAPrincipal> {
    const ANY: &str = "k8s:<namespace>/<service account>, oidc:<issuer name>/<subject>, \
        spiffe://<trust domain>/<path>, dns:<name> or key:<name>";
    const K8S: &str = "k8s:<namespace>/<service account>, in lower case as Kubernetes has them";
    const OIDC: &str = "oidc:<issuer name>/<subject>; the issuer's name is 1 to 63 of a-z 0-9 and -, \
        the subject 1 to 255 characters of ASCII without white space";
    const SPIFFE: &str =
        "spiffe://<trust domain>/<path>, a SPIFFE ID of at most 2048 bytes to the letter of its standard";
    const DNS: &str = "dns:<name>, a DNS name in lower case";
    const KEY: &str = "key:<name>; the name is 1 to 63 of 0-9 A-Z a-z . _ and -";

    let (scheme, rest) = text.split_once(':').ok_or(NotAPrincipal(ANY))?;
    let two_parts = |is_first: fn(&str) -> bool, is_second: fn(&str) -> bool| {
        rest.split_once('/').is_some_and(|(first, second)| is_first(first) && is_second(second))
    };
    let (is_one, form) = match scheme {
        "k8s" => (two_parts(is_label, is_domain), K8S),
        "oidc" => (two_parts(is_issuer_name, is_subject), OIDC),
        "spiffe" => (trust_domain(text).is_some(), SPIFFE),
        "dns" => (is_domain(rest), DNS),
        "key" => (is_key_name(rest), KEY),
        _ => (false, ANY),
    };
    if is_one { Ok(()) } else { Err(NotAPrincipal(form)) }
}

/// Maps with principals for keys are looked up by text.
impl Borrow<str> for Principal {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({self})")
    }
}

/// Whether it is 1 to 63 of a–z, 0–9 and `-`.
pub(crate) fn is_issuer_name(name: &str) -> bool {
    consists_of(name, 63, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A label of RFC 1123, as Kubernetes has it: lower case only.
fn is_label(label: &str) -> bool {
    is_issuer_name(label) && !label.starts_with('-') && !label.ends_with('-')
}

/// Labels with dots between them: a DNS name, and a Kubernetes service account's.
fn is_domain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// `sub` of `OpenID` Connect Core 1.0, section 2: at most 255 characters of ASCII. White space and
/// control characters are refused, because a log would hide them or show two words.
fn is_subject(subject: &str) -> bool {
    consists_of(subject, 255, |byte| byte.is_ascii_graphic())
}

fn is_key_name(name: &str) -> bool {
    consists_of(name, 63, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
