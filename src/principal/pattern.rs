//! Which principals a grant is for: one by its name, or all that have a prefix.
//!
//! A `*` stands for one or more whole parts, and only as the last part of something that is itself
//! named: `k8s:team-a/*`, `oidc:corp/*`, `spiffe://example.org/ns/team-a/*`. Everything wider (`*`,
//! `k8s:*`, `spiffe://*`) is refused, because nobody who reads such a line knows which callers it
//! will cover tomorrow.

use std::{str::FromStr, sync::Arc};

use super::name::{NotAPrincipal, Principal, check};

/// The most slashes in a prefix. It bounds how many prefixes of a principal are looked up.
pub(crate) const MAX_PREFIX_SLASHES: usize = 16;

/// One of a grant's `principals`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This principal.
    Exact(Principal),
    /// Every principal that has something after this prefix, which ends with a slash.
    Prefix(Arc<str>),
}

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPattern {
    /// It has no wildcard, and is no principal.
    #[error("{0}")]
    NotAPrincipal(#[from] NotAPrincipal),
    /// A `*` stands elsewhere than in the last part, or is only some of it.
    #[error("a * must be the whole last part, after a /")]
    Wildcard,
    /// Its prefix and one more part are no principal.
    #[error("no principal matches it: {0}")]
    MatchesNothing(NotAPrincipal),
    /// Its prefix has more than 16 slashes.
    #[error("must have 16 slashes at most before a *")]
    TooDeep,
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let prefix = text.strip_suffix('*').filter(|prefix| prefix.ends_with('/'));
        let named = prefix.unwrap_or(text);
        if named.contains('*') {
            return Err(NotAPattern::Wildcard);
        }
        let Some(prefix) = prefix else { return Ok(Self::Exact(text.parse()?)) };
        if prefix.matches('/').count() > MAX_PREFIX_SLASHES {
            return Err(NotAPattern::TooDeep);
        }
        // The shortest last part, and one that every scheme allows: if it does not fit, none does.
        check(&format!("{prefix}x")).map_err(NotAPattern::MatchesNothing)?;
        Ok(Self::Prefix(prefix.into()))
    }
}

impl Pattern {
    /// Whether it covers more than one principal.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        matches!(self, Self::Prefix(_))
    }
}

/// Every [`Pattern::Prefix`] that would cover a principal, with how many slashes it has.
pub(crate) fn prefixes(principal: &str) -> impl Iterator<Item = (usize, &str)> {
    let slashes = principal.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    let prefixes = slashes.enumerate().map(|(before, (at, _))| (before + 1, &principal[..=at]));
    prefixes.take(MAX_PREFIX_SLASHES).filter(|(_, prefix)| prefix.len() < principal.len())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn parse(text: &str) -> Result<Pattern, NotAPattern> {
        text.parse()
    }

    fn covers(pattern: &Pattern, principal: &str) -> bool {
        match pattern {
            Pattern::Exact(exact) => exact.as_str() == principal,
            Pattern::Prefix(prefix) => prefixes(principal).any(|(_, found)| *found == **prefix),
        }
    }

    #[test]
    fn each_scheme_has_patterns() {
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
            "oidc:corp/team/*",
            "dns:api.example.org",
        ] {
            assert_eq!(parse(text).unwrap().is_wildcard(), text.ends_with('*'), "{text}");
        }
    }

    #[test]
    fn a_pattern_that_is_too_wide_or_can_never_match_is_refused() {
        let too_long = [
            format!("key:{}", "x".repeat(64)),
            format!("oidc:{}/alice", "x".repeat(64)),
            format!("oidc:{}/*", "x".repeat(64)),
            format!("oidc:corp/{}", "x".repeat(256)),
            format!("oidc:corp/{}/*", "x".repeat(254)),
            format!("k8s:{}/*", "x".repeat(64)),
            format!("k8s:a/{}", ["x"; 128].join(".")),
            format!("dns:{}", ["x"; 128].join(".")),
            format!("spiffe://{}/*", "x".repeat(256)),
            format!("spiffe://a/{}", "x".repeat(2038)),
            format!("spiffe://a/{}/*", "x".repeat(2036)),
        ];
        for text in [
            "",
            "*",
            "/*",
            "anonymous",
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
            "spiffe:/*",
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
            "oidc:Corp_X.y/alice",
            "oidc:Corp_X.y/*",
            "oidc:corp/a*b",
            "dns:*",
            "dns:*.example.org",
            "dns:example.org/*",
            "dns:a..b",
            "user:alice",
            "classroom",
            "k8s:classroom/äpi",
        ]
        .into_iter()
        .chain(too_long.iter().map(String::as_str))
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_a_prefix_has_a_largest_number_of_slashes() {
        let deep = |parts: usize| format!("spiffe://a{}", "/b".repeat(parts));
        assert!(parse(&deep(40)).is_ok());
        assert!(parse(&(deep(13) + "/*")).is_ok());
        assert_eq!(parse(&(deep(14) + "/*")), Err(NotAPattern::TooDeep));
    }

    #[test]
    fn a_wildcard_stands_for_one_or_more_whole_parts() {
        let pattern = parse("spiffe://example.org/ns/a/*").unwrap();
        for (principal, covered) in [
            ("spiffe://example.org/ns/a/sa/api", true),
            ("spiffe://example.org/ns/a/x", true),
            ("spiffe://example.org/ns/a/", false),
            ("spiffe://example.org/ns/a", false),
            ("spiffe://example.org/ns/ab/sa/api", false),
            ("spiffe://example.org.evil/ns/a/sa/api", false),
        ] {
            assert_eq!(covers(&pattern, principal), covered, "{principal}");
        }
    }

    /// Texts that are nearly principals: of each scheme, with lengths and characters at the edges.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => select(&["a", "b-c", "a.b", "x0"][..]).prop_map(str::to_owned),
            1 => select(&["", "-a", "A", "a_b", "a b", "ä", ".", "..", "a|b", "%41"][..]).prop_map(str::to_owned),
            1 => (60..66_usize).prop_map(|length| "x".repeat(length)),
            1 => (253..258_usize).prop_map(|length| "x".repeat(length)),
            1 => (125..129_usize).prop_map(|labels| vec!["x"; labels].join(".")),
            1 => (2030..2040_usize).prop_map(|length| "x".repeat(length)),
        ];
        let scheme = select(&["k8s:", "oidc:", "spiffe://", "spiffe:/", "dns:", "key:", "user:", ""][..]);
        let parts = prop_oneof![9 => vec(part.clone(), 1..5), 1 => vec(Just("a".to_owned()), 5..30)];
        (scheme, parts).prop_map(|(scheme, parts)| format!("{scheme}{}", parts.join("/")))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_pattern_without_a_wildcard_is_a_principal_and_the_reverse(text in text()) {
            let principal = text.parse::<Principal>();
            prop_assert_eq!(parse(&text), principal.map(Pattern::Exact).map_err(NotAPattern::from));
        }

        #[test]
        fn a_wildcard_covers_some_principal(text in text(), last in select(&["x", "a.b", "x/y"][..])) {
            if let Ok(pattern) = parse(&format!("{text}/*")) {
                let covered: Vec<_> = ["x".to_owned(), "x/y".to_owned()]
                    .into_iter()
                    .map(|last| format!("{text}/{last}"))
                    .filter(|name| name.parse::<Principal>().is_ok())
                    .collect();
                prop_assert!(covered.iter().any(|name| covers(&pattern, name)), "{}", text);
            }
            // And the reverse: what is before the last part of a principal is a prefix that covers it.
            let name = format!("{text}/{last}");
            let (before, _) = name.rsplit_once('/').unwrap();
            if name.parse::<Principal>().is_ok() && before.matches('/').count() < MAX_PREFIX_SLASHES {
                let pattern = parse(&format!("{before}/*"));
                prop_assert!(pattern.is_ok_and(|pattern| covers(&pattern, &name)), "{}", name);
            }
        }
    }
}
