//! Reads `[[grants]]`.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use super::tokens_and_quota::{KnownProjects, read_quota, read_region, read_tokens};
use crate::{
    document::{Fields, Node},
    methods::{Rpc, RpcSet},
    policy::{
        grant::Grant,
        quota::{Quota, QuotaUsage},
    },
    principal::{NotAPattern, Pattern},
};

/// Reads grants one by one, and remembers those it has read.
pub(super) struct GrantReader<'a> {
    projects: Option<&'a KnownProjects>,
    /// The grants that these are to replace, by name.
    before: HashMap<&'a str, &'a Arc<Grant>>,
    /// Name → line.
    names: HashMap<String, usize>,
}

impl<'a> GrantReader<'a> {
    pub(super) fn new(projects: Option<&'a KnownProjects>, before: HashMap<&'a str, &'a Arc<Grant>>) -> Self {
        Self { projects, before, names: HashMap::new() }
    }

    /// Reads on after a mistake, so that all are found; `None` where something needed is missing.
    pub(super) fn read(&mut self, mut fields: Fields<'_>) -> Option<Grant> {
        let line = fields.line();
        let name = fields.need("name").and_then(|node| self.read_name(&node, line));
        let principals = fields.need("principals").and_then(read_principals);
        let rpcs = fields.need("rpcs").and_then(read_rpcs);
        let projects = fields.need("projects").and_then(|node| self.read_projects(node));
        let regions = fields.take("regions");
        let tokens = fields.take("tokens");
        if let Some(rpcs) = rpcs {
            check_together(&fields, rpcs, regions.as_ref(), tokens.as_ref());
        }
        let is_wild = principals.iter().flatten().any(Pattern::is_wildcard);
        let regions = regions.and_then(|node| read_each(node, read_region)).unwrap_or_default();
        let tokens = tokens.and_then(|node| read_tokens(node, is_wild)).unwrap_or_default();
        let quota = fields.take("quota").and_then(Node::fields).map(read_quota);

        let name = name?;
        let usage = quota.map(|quota| self.usage(&name, quota));
        Some(Grant {
            name: name.into(),
            line,
            principals: principals?,
            rpcs: rpcs?,
            projects: projects?,
            regions,
            tokens,
            usage,
        })
    }

    fn read_name(&mut self, node: &Node<'_>, line: usize) -> Option<String> {
        let name = node.text().filter(|name| is_name(name) || wrong_name(node))?.to_owned();
        if let Some(first) = self.names.insert(name.clone(), line) {
            node.wrong(format_args!("the grant of line {first} has this name too"));
        }
        Some(name)
    }

    fn read_projects(&self, node: Node<'_>) -> Option<Vec<Arc<str>>> {
        let known = |name: &str| self.projects.is_none_or(|projects| projects.names.contains(name));
        read_each(node, |node| {
            let name = node.text().filter(|name| is_name(name) || wrong_name(node))?;
            if !known(name) {
                node.wrong("is no project of the settings");
            }
            Some(Arc::from(name))
        })
    }

    /// What the principals of this grant have used goes on counting.
    fn usage(&self, name: &str, quota: Quota) -> Arc<QuotaUsage> {
        let before = self.before.get(name).and_then(|grant| grant.usage.as_ref());
        let same = before.filter(|usage| usage.quota() == quota);
        same.cloned().unwrap_or_else(|| Arc::new(QuotaUsage::new(name.into(), quota)))
    }
}

/// Grants and projects are named alike.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}

fn wrong_name(node: &Node<'_>) -> bool {
    node.wrong("must be 1 to 63 of 0-9 A-Z a-z _ . and -");
    false
}

/// A list of which nothing is there twice.
fn read_each<T: Eq + Hash + Clone>(node: Node<'_>, read: impl Fn(&Node<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for node in node.list()? {
        let Some(item) = read(&node) else { continue };
        if seen.insert(item.clone()) {
            all.push(item);
        } else {
            node.wrong("is in this list already");
        }
    }
    Some(all)
}

fn read_principals(node: Node<'_>) -> Option<Vec<Pattern>> {
    read_each(node, |node| node.text()?.parse().map_err(|what: NotAPattern| node.wrong(what)).ok())
}

/// Full names, or all of a service: `inkpass.v1.RoomService/*`.
fn read_rpcs(node: Node<'_>) -> Option<RpcSet> {
    let mut set = RpcSet::default();
    for node in node.list()? {
        let named = |name: &str| {
            let service = name.strip_suffix('*').filter(|service| service.ends_with('/'));
            let is_meant = |rpc: &Rpc| match service {
                Some(service) => rpc.name().starts_with(service),
                None => rpc.name() == name,
            };
            let rpcs: Vec<_> = Rpc::ALL.into_iter().filter(is_meant).collect();
            (!rpcs.is_empty()).then_some(rpcs)
        };
        let expected = "an RPC, such as inkpass.v1.TokenService/IssueToken, or all of a service, such as inkpass.v1.RoomService/*";
        let Some(rpcs) = node.name(named, expected) else { continue };
        if rpcs.iter().all(|rpc| set.contains(*rpc)) {
            node.wrong("is in this list already");
        }
        for rpc in rpcs {
            set.insert(rpc);
        }
    }
    Some(set)
}

/// What is there for nothing, and what is missing: both mean something else than they seem to.
fn check_together(grant: &Fields<'_>, rpcs: RpcSet, regions: Option<&Node<'_>>, tokens: Option<&Node<'_>>) {
    match (regions, rpcs.iter().any(Rpc::goes_upstream)) {
        (None, true) => grant.wrong("regions is missing: without one no call goes upstream"),
        (Some(regions), false) => {
            regions.wrong("binds nothing: no RPC of this grant goes upstream, and a token has no region");
        }
        _ => {}
    }
    match (tokens, rpcs.iter().any(Rpc::mints)) {
        (None, true) => grant.wrong("tokens is missing: an RPC of this grant mints, but nothing is allowed"),
        (Some(tokens), false) => tokens.wrong(
            "allows nothing: add IssueToken, which a token beside a new room or conversion needs too, or BatchIssueTokens",
        ),
        _ => {}
    }
}
