//! One name for a caller, whichever way it came.

use std::{
    fmt::{self, Display},
    str::FromStr,
    sync::{Arc, LazyLock},
};

use super::spiffe;

/// Who is calling. Cheap to clone.
///
/// | form | who |
/// |---|---|
/// | `k8s:<namespace>/<service account>` | a Kubernetes service account |
/// | `oidc:<issuer name>/<subject>` | whom another OIDC issuer vouches for |
/// | `spiffe://<trust domain>/<path>` | a workload with a SPIFFE ID in its certificate |
/// | `dns:<name>` | a workload with a DNS name in its certificate |
/// | `key:<name>` | whoever holds an API key |
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

/// A text is no principal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a principal is k8s:<namespace>/<service account>, oidc:<issuer name>/<subject>, \
     spiffe://<trust domain>/<path>, dns:<name> or key:<name>"
)]
pub struct NotAPrincipal;

impl Principal {
    /// Whoever calls where everyone may. No text parses as this one.
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
        let is_one = match text.split_once(':') {
            Some(("k8s", rest)) => rest
                .split_once('/')
                .is_some_and(|(namespace, account)| is_label(namespace) && is_domain(account)),
            Some(("oidc", rest)) => rest
                .split_once('/')
                .is_some_and(|(issuer, subject)| is_issuer_name(issuer) && is_subject(subject)),
            Some(("spiffe", _)) => spiffe::trust_domain(text).is_some(),
            Some(("dns", name)) => is_domain(name),
            Some(("key", name)) => is_key_name(name),
            _ => false,
        };
        if is_one { Ok(Self(text.into())) } else { Err(NotAPrincipal) }
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
pub(super) fn is_issuer_name(name: &str) -> bool {
    is_made_of(name, 63, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A label of RFC 1123, as Kubernetes has it: lower case only.
fn is_label(label: &str) -> bool {
    is_issuer_name(label) && !label.starts_with('-') && !label.ends_with('-')
}

/// A name of such labels.
fn is_domain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// `sub` of `OpenID` Connect Core 1.0, section 2: at most 255 characters of ASCII. None that could hide in a
/// log or be read as two words.
fn is_subject(subject: &str) -> bool {
    is_made_of(subject, 255, |byte| byte.is_ascii_graphic())
}

fn is_key_name(name: &str) -> bool {
    is_made_of(name, 63, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_made_of(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}
