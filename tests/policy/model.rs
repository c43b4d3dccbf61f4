//! The decision against a naive model: one that looks at every grant, in words of its own.

use std::time::Duration;

use inkpass::{
    methods::Rpc,
    policy::{AccessRequest, Denial, Mint, MissingRight, Rules},
    token::{Kind, Lifetime},
};
use proptest::{collection::vec, prelude::*};

use super::random::{Grant, Question, grant, question, to_toml};

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
    let mut first = keep(Denial::PolicyDenied(MissingRight::Rpc), &|grant| grant.rpcs.contains(&ask.rpc))?;
    let only_mints = matches!(ask.rpc, Rpc::IssueToken | Rpc::BatchIssueTokens);
    if ask.mint.map_or(only_mints, |mint| !mints(ask.rpc, mint.kind)) {
        return Err(Denial::PolicyDenied(MissingRight::Kind));
    }
    let of = |grant: &Grant, mint: Mint| grant.tokens.iter().find(|token| token.kind == mint.kind).cloned();
    if let Some(mint) = ask.mint {
        keep(Denial::PolicyDenied(MissingRight::IssueToken), &|grant| only_mints || has_issue_token(grant))?;
        keep(Denial::PolicyDenied(MissingRight::Kind), &|grant| of(grant, mint).is_some())?;
        first = keep(Denial::PolicyDenied(MissingRight::Role), &|grant| {
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
            let ask = AccessRequest { rpc, project, region, mint };
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
