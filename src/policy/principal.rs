//! Whom a grant is for: a principal as it is, or all that lie under a prefix.
//!
//! The identity room makes the principals; here they are text. A `*` stands for one or more whole
//! parts, and only as the last part of something that is itself named: `k8s:team-a/*`,
//! `oidc:corp/*`, `spiffe://example.org/ns/team-a/*`. Everything wider (`*`, `k8s:*`, `spiffe://*`)
//! is refused, because nobody who reads such a line knows who is meant by it tomorrow.

use std::sync::Arc;

/// The longest principal, in bytes: a SPIFFE ID may have as many.
const LONGEST: usize = 2048;

/// The most slashes in a pattern. It bounds how often a decision looks something up.
pub(super) const MOST_SLASHES: usize = 16;

/// What a grant says of principals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// This principal.
    Exact(Arc<str>),
    /// Every principal that has something after this prefix, which ends with a slash.
    Under(Arc<str>),
}

impl Pattern {
    /// # Errors
    /// What it must be, to follow its place in the file.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be at most 2048 bytes of ASCII without white space");
        }
        if text.matches('/').count() > MOST_SLASHES {
            return Err("must have 16 slashes at most");
        }
        let (named, is_wild) = text.strip_suffix("/*").map_or((text, false), |named| (named, true));
        if named.contains('*') {
            return Err("a * must be the whole last part, after a /");
        }
        check_form(named, is_wild)?;
        Ok(if is_wild { Self::Under(text[..=named.len()].into()) } else { Self::Exact(text.into()) })
    }

    pub(super) const fn is_wild(&self) -> bool {
        matches!(self, Self::Under(_))
    }

    pub(super) fn covers(&self, principal: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *principal,
            Self::Under(prefix) => principal.strip_prefix(&**prefix).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

/// Every prefix of a principal that a pattern could have, with how many slashes it has.
pub(super) fn prefixes(principal: &str) -> impl Iterator<Item = (usize, &str)> {
    let slashes = principal.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    let prefixes = slashes.enumerate().map(|(before, (at, _))| (before + 1, &principal[..=at]));
    prefixes.take(MOST_SLASHES).filter(|(_, prefix)| prefix.len() < principal.len())
}

/// `named` is what stands before the `/*`, or all of it.
fn check_form(named: &str, is_wild: bool) -> Result<(), &'static str> {
    const FORMS: &str = "must be k8s:<namespace>/<service account>, spiffe://<trust domain>/<path>, key:<name>, oidc:<issuer>/<subject> or dns:<name>";
    let (scheme, rest) = named.split_once(':').ok_or(FORMS)?;
    let fits = match scheme {
        "k8s" => match rest.split_once('/') {
            Some((namespace, account)) => !is_wild && is_label(namespace) && is_dns_name(account),
            None => is_wild && is_label(rest),
        },
        "spiffe" => {
            let mut parts = rest.strip_prefix("//").ok_or(FORMS)?.split('/');
            let domain = parts.next().is_some_and(is_trust_domain);
            let has_path = is_wild || rest[2..].contains('/');
            domain && has_path && parts.all(is_path_segment)
        }
        "key" if is_wild => return Err("key: takes no *; name each"),
        "key" => rest.len() <= 63 && is_name(rest),
        "oidc" => match rest.split_once('/') {
            Some((issuer, subject)) => is_name(issuer) && !subject.is_empty(),
            None => is_wild && is_name(rest),
        },
        "dns" if is_wild => return Err("dns: takes no *; name each"),
        "dns" => is_dns_name(rest),
        _ => false,
    };
    if fits { Ok(()) } else { Err(FORMS) }
}

/// A Kubernetes namespace: RFC 1123's label.
fn is_label(text: &str) -> bool {
    text.len() <= 63
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A service account's or a host's name: labels with dots between them.
fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// SPIFFE-ID, section 2.1.
fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
}

/// SPIFFE-ID, section 2.2.
fn is_path_segment(text: &str) -> bool {
    is_name(text) && text != "." && text != ".."
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_meant_is_taken() {
        for text in [
            "k8s:classroom/api",
            "k8s:classroom/*",
            "spiffe://example.org/ns/classroom/sa/api",
            "spiffe://example.org/ns/classroom/*",
            "spiffe://example.org/*",
            "key:billing",
            "oidc:corp/alice@example.org",
            "oidc:corp/auth0|4711",
            "oidc:corp/*",
            "dns:api.example.org",
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.is_wild(), text.ends_with('*'), "{text}");
        }
    }

    #[test]
    fn what_is_too_wide_or_can_never_match_is_refused() {
        let too_long = format!("key:{}", "x".repeat(LONGEST));
        let too_deep = format!("spiffe://a{}", "/b".repeat(MOST_SLASHES));
        for text in [
            "",
            "*",
            "/*",
            "k8s:*",
            "k8s:*/api",
            "k8s:/*",
            "k8s:/api",
            "k8s:classroom/",
            "k8s:class*",
            "k8s:classroom/a*",
            "k8s:classroom/*/x",
            "k8s:classroom/api/*",
            "k8s:classroom",
            "k8s:Classroom/api",
            "k8s:-a/b",
            "spiffe://*",
            "spiffe:///*",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://Example.org/a",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/./a",
            "spiffe://example.org/a/../*",
            "spiffe://example.org/a%2fb",
            "spiffe:/example.org/a",
            "key:",
            "key:*",
            "key:a b",
            "key:a/b",
            "key:team/*",
            "oidc:*",
            "oidc:corp",
            "oidc:corp/",
            "oidc:/alice",
            "dns:*",
            "dns:*.example.org",
            "dns:example.org/*",
            "dns:a..b",
            "user:alice",
            "classroom",
            "k8s:classroom/äpi",
            &too_long,
            &too_deep,
        ] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_star_stands_for_one_or_more_whole_parts() {
        let pattern = Pattern::parse("spiffe://example.org/ns/a/*").unwrap();
        for (principal, covered) in [
            ("spiffe://example.org/ns/a/sa/api", true),
            ("spiffe://example.org/ns/a/x", true),
            ("spiffe://example.org/ns/a/", false),
            ("spiffe://example.org/ns/a", false),
            ("spiffe://example.org/ns/ab/sa/api", false),
            ("spiffe://example.org.evil/ns/a/sa/api", false),
        ] {
            assert_eq!(pattern.covers(principal), covered, "{principal}");
            let Pattern::Under(prefix) = &pattern else { unreachable!() };
            assert_eq!(prefixes(principal).any(|(_, found)| found == &**prefix), covered, "{principal}");
        }
    }
}
