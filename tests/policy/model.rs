//! The decision against a naive model: one that looks at every grant, in words of its own.

use std::{fmt::Write, time::Duration};

use inkpass::{
    policy::{Ask, Denial, Mint, Missing, Rpc, Rules},
    region::Region,
    token::{Kind, Lifetime, Role},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// What a grant is made of.
#[derive(Clone, Debug)]
struct Grant {
    principals: Vec<&'static str>,
    rpcs: Vec<Rpc>,
    projects: Vec<&'static str>,
    regions: Vec<Region>,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    strongest: Role,
    default: u64,
    max: u64,
    permanent: bool,
}

#[derive(Clone, Debug)]
struct Question {
    principal: &'static str,
    rpc: Rpc,
    project: &'static str,
    region: Option<Region>,
    mint: Option<Mint>,
}

const PATTERNS: [&str; 10] = [
    "k8s:a/x",
    "k8s:a/*",
    "k8s:b/x",
    "key:a",
    "key:a/*",
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

fn has_issue_token(grant: &Grant) -> bool {
    grant.rpcs.contains(&Rpc::IssueToken)
}

/// The RPCs that mint, and what they may.
fn mints(rpc: Rpc, kind: Kind) -> bool {
    match rpc {
        Rpc::IssueToken | Rpc::BatchIssueTokens => true,
        Rpc::CreateRoom => kind == Kind::Room,
        Rpc::StartConversion => kind == Kind::Task,
        _ => false,
    }
}

fn is_local(rpc: Rpc) -> bool {
    matches!(rpc, Rpc::IssueToken | Rpc::BatchIssueTokens | Rpc::VerifyToken)
}

fn covers(pattern: &str, principal: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => principal.len() > prefix.len() && principal.starts_with(prefix),
        None => pattern == principal,
    }
}

/// Each check leaves over the grants that pass it; where none is left, that is the reason.
fn naive(grants: &[Grant], ask: &Question) -> Result<(usize, Option<Lifetime>), Denial> {
    let mut left: Vec<usize> = (0..grants.len()).collect();
    let mut keep = |denial: Denial, passes: &dyn Fn(&Grant) -> bool| {
        left.retain(|index| passes(&grants[*index]));
        if left.is_empty() { Err(denial) } else { Ok(left[0]) }
    };
    keep(Denial::ProjectUnknown, &|grant| {
        grant.principals.iter().any(|pattern| covers(pattern, ask.principal))
            && grant.projects.contains(&ask.project)
    })?;
    let mut first = keep(Denial::PolicyDenied(Missing::Rpc), &|grant| grant.rpcs.contains(&ask.rpc))?;
    let only_mints = matches!(ask.rpc, Rpc::IssueToken | Rpc::BatchIssueTokens);
    if ask.mint.map_or(only_mints, |mint| !mints(ask.rpc, mint.kind)) {
        return Err(Denial::PolicyDenied(Missing::Kind));
    }
    let of = |grant: &Grant, mint: Mint| grant.tokens.iter().find(|token| token.kind == mint.kind).cloned();
    if let Some(mint) = ask.mint {
        keep(Denial::PolicyDenied(Missing::IssueToken), &|grant| only_mints || has_issue_token(grant))?;
        keep(Denial::PolicyDenied(Missing::Kind), &|grant| of(grant, mint).is_some())?;
        first = keep(Denial::PolicyDenied(Missing::Role), &|grant| {
            of(grant, mint).unwrap().strongest <= mint.role
        })?;
    }
    if !is_local(ask.rpc) {
        first = keep(Denial::RegionForbidden, &|grant| {
            ask.region.is_some_and(|region| grant.regions.contains(&region))
        })?;
    }
    let Some(mint) = ask.mint else { return Ok((first, None)) };
    match mint.lifetime {
        None => {
            let default = Duration::from_secs(of(&grants[first], mint).unwrap().default);
            Ok((first, Some(Lifetime::ttl(default).unwrap())))
        }
        Some(Lifetime::Permanent) => {
            let first = keep(Denial::PermanentTokenForbidden, &|grant| of(grant, mint).unwrap().permanent)?;
            Ok((first, Some(Lifetime::Permanent)))
        }
        Some(asked) => {
            let longest = |grant: &Grant| Duration::from_secs(of(grant, mint).unwrap().max);
            let others = (0..grants.len()).filter(|index| allows_its_default(&grants[*index], ask));
            let most = others.map(|index| longest(&grants[index])).max().unwrap();
            let ttl = asked.as_duration().unwrap();
            let first = keep(Denial::TtlAboveMaximum(most), &|grant| longest(grant) >= ttl)?;
            Ok((first, Some(asked)))
        }
    }
}

/// Whether a grant by itself allows the request, if it asks for no lifetime.
fn allows_its_default(grant: &Grant, ask: &Question) -> bool {
    let mint = ask.mint.map(|mint| Mint { lifetime: None, ..mint });
    naive(std::slice::from_ref(grant), &Question { mint, ..ask.clone() }).is_ok()
}

fn to_toml(grants: &[Grant]) -> String {
    let mut text = String::new();
    for (index, grant) in grants.iter().enumerate() {
        let names: Vec<_> = grant.rpcs.iter().map(|rpc| rpc.name()).collect();
        let regions: Vec<_> = grant.regions.iter().map(|region| region.as_str()).collect();
        let _ = writeln!(text, "[[grants]]\nname = \"{index}\"\nprincipals = {:?}", grant.principals);
        let _ = writeln!(text, "rpcs = {names:?}\nprojects = {:?}", grant.projects);
        if grant.rpcs.iter().any(|rpc| !is_local(*rpc)) {
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

fn grant() -> impl Strategy<Value = Grant> {
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

fn question() -> impl Strategy<Value = Question> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_is_the_one_of_a_model_that_looks_at_every_grant(
        grants in vec(grant(), 1..14),
        questions in vec(question(), 200),
    ) {
        let text = to_toml(&grants);
        let rules = Rules::parse(&text, None, None).map_err(|mistakes| TestCaseError::fail(format!("{mistakes:#?}\n{text}")))?;
        for question in questions {
            let Question { principal, rpc, project, region, mint } = question;
            let ask = Ask { rpc, project, region, mint };
            let decided = rules.decide(principal, &ask);
            let expected = naive(&grants, &question);
            let found = decided.map(|decision| (decision.grant.name().parse::<usize>().unwrap(), decision.lifetime));
            prop_assert_eq!(&found, &expected, "{:?}", question);

            // What is said of each grant by itself fits: the first that allows it decides.
            let said: Vec<_> = rules.explain(principal, &ask).map(|(grant, said)| (grant.name().parse::<usize>().unwrap(), said)).collect();
            let first = said.iter().find_map(|(grant, said)| Some((*grant, said.ok()?)));
            prop_assert_eq!(first, found.ok(), "{:?}", question);
            let furthest = said.iter().filter_map(|(_, said)| said.err()).max().unwrap_or(Denial::ProjectUnknown);
            if let Err(denial) = expected {
                prop_assert!(denial >= furthest, "{denial:?} {said:?}");
            }

            let verifies = naive(&grants, &Question { rpc: Rpc::VerifyToken, mint: None, ..question.clone() }).is_ok();
            prop_assert_eq!(rules.may_verify(principal).contains(project), verifies);
            let any = ["p", "q"].into_iter().any(|project| rules.may_verify(principal).contains(project));
            prop_assert_eq!(!rules.may_verify(principal).is_empty(), any);
        }
    }
}
