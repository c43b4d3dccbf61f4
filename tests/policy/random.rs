//! Random policies and requests, of few names, so that they meet.

use std::{fmt::Write, time::Duration};

use inkpass::{
    methods::Rpc,
    policy::Mint,
    region::Region,
    token::{Kind, Lifetime, Role},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// What a grant is made of.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) principals: Vec<&'static str>,
    pub(crate) rpcs: Vec<Rpc>,
    pub(crate) projects: Vec<&'static str>,
    pub(crate) regions: Vec<Region>,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) strongest: Role,
    pub(crate) default: u64,
    pub(crate) max: u64,
    pub(crate) permanent: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) principal: &'static str,
    pub(crate) rpc: Rpc,
    pub(crate) project: &'static str,
    pub(crate) region: Option<Region>,
    pub(crate) mint: Option<Mint>,
}

const PATTERNS: [&str; 9] = [
    "k8s:a/x",
    "k8s:a/*",
    "k8s:b/x",
    "key:a",
    "spiffe://t/*",
    "spiffe://t/a/*",
    "spiffe://t/a/b",
    "oidc:i/a/b",
    "oidc:i/*",
];

const PRINCIPALS: [&str; 18] = [
    "k8s:a/x",
    "k8s:a/y",
    "k8s:a/",
    "k8s:a",
    "k8s:b/x",
    "k8s:b/y",
    "key:a",
    "key:a/b",
    "key:b",
    "spiffe://t/a",
    "spiffe://t/a/",
    "spiffe://t/a/b",
    "spiffe://t/a/b/c",
    "spiffe://t/b",
    "spiffe://u/a/b",
    "oidc:i/a/b",
    "oidc:i/c",
    "",
];

/// As a policy file, with each grant's index for its name.
pub(crate) fn to_toml(grants: &[Grant]) -> String {
    let mut text = String::new();
    for (index, grant) in grants.iter().enumerate() {
        let names: Vec<_> = grant.rpcs.iter().map(|rpc| rpc.name()).collect();
        let regions: Vec<_> = grant.regions.iter().map(|region| region.as_str()).collect();
        let _ = writeln!(text, "[[grants]]\nname = \"{index}\"\nprincipals = {:?}", grant.principals);
        let _ = writeln!(text, "rpcs = {names:?}\nprojects = {:?}", grant.projects);
        if grant.rpcs.iter().any(|rpc| rpc.goes_upstream()) {
            let _ = writeln!(text, "regions = {regions:?}");
        }
        if grant.tokens.is_empty() {
            continue;
        }
        let _ = writeln!(text, "tokens = [");
        for Token { kind, strongest, default, max, permanent } in &grant.tokens {
            let _ = writeln!(
                text,
                "  {{ kind = \"{}\", strongest_role = \"{strongest}\", default_ttl = \"{default}s\", max_ttl = \"{max}s\", permanent = {permanent} }},",
                kind.as_str()
            );
        }
        let _ = writeln!(text, "]");
    }
    text
}

fn distinct<T: Clone + std::fmt::Debug + PartialEq + 'static>(
    from: &'static [T],
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    vec(select(from), 1..=most).prop_map(|all| {
        all.into_iter().fold(Vec::new(), |mut kept, item| {
            if !kept.contains(&item) {
                kept.push(item);
            }
            kept
        })
    })
}

fn token(kind: Kind) -> impl Strategy<Value = Token> {
    (select(&Role::ALL[..]), 1..5_u64, 0..4_u64, any::<bool>()).prop_map(
        move |(strongest, default, more, permanent)| Token {
            kind,
            strongest,
            default,
            max: default + more,
            permanent,
        },
    )
}

pub(crate) fn grant() -> impl Strategy<Value = Grant> {
    let tokens = (
        option::of(token(Kind::Sdk)),
        option::of(token(Kind::Room)),
        option::of(token(Kind::Task)),
        token(Kind::Room),
    );
    let rpcs = prop_oneof![distinct(&Rpc::ALL, 8), Just(Rpc::ALL.to_vec())];
    (distinct(&PATTERNS, 3), rpcs, distinct(&["p", "q"], 2), distinct(&Region::ALL, 4), tokens).prop_map(
        |(principals, rpcs, projects, regions, (sdk, room, task, other))| {
            let mut tokens: Vec<_> = [sdk, room, task].into_iter().flatten().collect();
            // What the file's reader would refuse is not what is looked at here.
            if tokens.is_empty() {
                tokens.push(other);
            }
            if !rpcs.contains(&Rpc::IssueToken) && !rpcs.contains(&Rpc::BatchIssueTokens) {
                tokens.clear();
            }
            for token in &mut tokens {
                token.permanent &=
                    token.kind != Kind::Sdk || !principals.iter().any(|pattern| pattern.ends_with('*'));
            }
            Grant { principals, rpcs, projects, regions, tokens }
        },
    )
}

fn lifetime() -> impl Strategy<Value = Option<Lifetime>> {
    prop_oneof![
        Just(None),
        Just(Some(Lifetime::Permanent)),
        (1..9_u64).prop_map(|seconds| Some(Lifetime::ttl(Duration::from_secs(seconds)).unwrap())),
    ]
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let mint = (select(&Kind::ALL[..]), select(&Role::ALL[..]), lifetime());
    let mint = option::weighted(0.7, mint.prop_map(|(kind, role, lifetime)| Mint { kind, role, lifetime }));
    let minting = [Rpc::IssueToken, Rpc::BatchIssueTokens, Rpc::CreateRoom, Rpc::StartConversion].to_vec();
    let rpc = prop_oneof![select(&Rpc::ALL[..]), select(minting)];
    (
        select(&PRINCIPALS[..]),
        rpc,
        select(&["p", "q", "r"][..]),
        option::weighted(0.9, select(&Region::ALL[..])),
        mint,
    )
        .prop_map(|(principal, rpc, project, region, mint)| Question {
            principal,
            rpc,
            project,
            region,
            mint,
        })
}
