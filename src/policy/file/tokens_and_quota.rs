//! Reads the two inner tables of a grant, `tokens` and `quota`, and names that stand for something.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    document::{Fields, Node},
    policy::{grant::TokenRule, limits::Limits, quota::Quota},
    region::Region,
    token::{Kind, Role},
};

/// The projects that there are, where that is known: a grant for any other is a mistake.
#[derive(Clone, Debug, Default)]
pub struct KnownProjects {
    /// Their names in the settings.
    pub names: BTreeSet<String>,
    /// The one that is meant where a request names none.
    pub default: Option<String>,
}

/// The longest `max_ttl`. A token that is to live longer is permanent, and its grant says so.
const LONGEST_TTL: Duration = Duration::from_hours(366 * 24);

/// The most that a quota's figures can be.
const MOST_TOKENS: u32 = 1_000_000;
const MOST_UPSTREAM: u32 = 100_000;
const MOST_WATCHES: u32 = 100_000;

/// By kind. `is_wild`: whether a principal of the grant has a wildcard.
pub(super) fn read_tokens(node: Node<'_>, is_wild: bool) -> Option<[Option<TokenRule>; 3]> {
    let (mut rules, mut seen) = ([None; 3], Vec::new());
    for mut fields in node.list()?.into_iter().filter_map(Node::fields) {
        let kind = fields.need("kind");
        let parsed = kind.as_ref().and_then(read_kind);
        let rule = read_token(fields, parsed, is_wild);
        let (Some(node), Some(parsed)) = (kind, parsed) else { continue };
        if seen.contains(&parsed) {
            node.wrong("is in this list already; put what else it may be into a grant of its own");
        }
        seen.push(parsed);
        rules[parsed as usize] = rule;
    }
    Some(rules)
}

fn read_token(mut fields: Fields<'_>, kind: Option<Kind>, is_wild: bool) -> Option<TokenRule> {
    let strongest = fields.need("strongest_role").and_then(|node| read_role(&node));
    let permanent = read_permanent(&mut fields, kind, is_wild);
    let maximum = fields.read("max_ttl", |node| {
        let (maximum, _) = node.ttl()?;
        if maximum > LONGEST_TTL {
            node.wrong("must be at most 366 days; what is to live longer is permanent = true");
        }
        Some(maximum)
    });
    let default = fields.read("default_ttl", |node| node.ttl().map(|ttl| (node, ttl)));

    let usual = Limits::usual(kind?);
    let maximum = maximum?.unwrap_or(usual.maximum);
    let default = if let Some((node, (ttl, default))) = default? {
        if ttl > maximum {
            node.wrong(format_args!("is above the max_ttl of {}", humantime::format_duration(maximum)));
        }
        default
    } else {
        if usual.default.as_duration() > Some(maximum) {
            fields.wrong("default_ttl is missing: the usual one is above max_ttl");
        }
        usual.default
    };
    Some(TokenRule { strongest: strongest?, default, maximum, permanent })
}

/// A permanent SDK token opens a whole project for ever: whom it is for is named one by one.
fn read_permanent(fields: &mut Fields<'_>, kind: Option<Kind>, is_wild: bool) -> bool {
    let Some(node) = fields.take("permanent") else { return false };
    let permanent = node.boolean().unwrap_or(false);
    if permanent && is_wild && kind == Some(Kind::Sdk) {
        node.wrong("permanent SDK tokens are not for a wildcard: name each principal in a grant of its own");
    }
    permanent
}

pub(super) fn read_region(node: &Node<'_>) -> Option<Region> {
    node.name(|name| name.parse().ok(), Region::EXPECTED)
}

pub(super) fn read_kind(node: &Node<'_>) -> Option<Kind> {
    node.name(|name| name.parse().ok(), "sdk, room or task")
}

pub(super) fn read_role(node: &Node<'_>) -> Option<Role> {
    node.name(|name| name.parse().ok(), "admin, writer or reader")
}

pub(super) fn read_quota(mut fields: Fields<'_>) -> Quota {
    let mut number = |name, most| fields.take(name).map(|node| node.number(most));
    let tokens_per_second = number("tokens_per_second", MOST_TOKENS);
    let burst = number("burst", MOST_TOKENS);
    let upstream_per_second = number("upstream_per_second", MOST_UPSTREAM);
    let watches = number("watches", MOST_WATCHES);
    if burst.is_some() && tokens_per_second.is_none() {
        fields.wrong("tokens_per_second is missing, which burst goes with");
    }
    let all = [tokens_per_second, burst, upstream_per_second, watches];
    if all.iter().all(Option::is_none) {
        fields.wrong("limits nothing; leave it out, or set a limit");
    }
    let [tokens_per_second, burst, upstream_per_second, watches] = all.map(Option::flatten);
    Quota { tokens_per_second, burst, upstream_per_second, watches }
}
