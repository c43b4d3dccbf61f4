//! What is allowed, and of what is not the reason that comes first.

use std::time::Duration;

use inkpass::{
    methods::Rpc,
    policy::{AccessRequest, Denial, Everyone, MissingRight, Rules},
    region::Region,
    token::{Kind, Lifetime, Role},
};

use super::{CLASSROOM, mint, rules, seconds};

const API: &str = "k8s:classroom/api";

fn issue(kind: Kind, role: Role, lifetime: Option<Lifetime>) -> AccessRequest<'static> {
    AccessRequest { rpc: Rpc::IssueToken, project: "default", region: None, mint: mint(kind, role, lifetime) }
}

fn call(rpc: Rpc, region: Region) -> AccessRequest<'static> {
    AccessRequest { rpc, project: "default", region: Some(region), mint: None }
}

#[test]
fn a_decision_names_the_grant_and_the_lifetime() {
    let rules = rules(CLASSROOM);
    for principal in [API, "spiffe://example.org/ns/classroom/sa/api", "key:billing"] {
        let decision = rules.decide(principal, &issue(Kind::Room, Role::Writer, None)).unwrap();
        assert_eq!((decision.grant.name(), decision.grant.line()), ("classroom", 1));
        assert_eq!(decision.lifetime, seconds(3600), "the grant's default");
        let asked = rules.decide(principal, &issue(Kind::Room, Role::Reader, seconds(24 * 3600))).unwrap();
        assert_eq!(asked.lifetime, seconds(24 * 3600), "exactly the maximum");
        assert_eq!(rules.decide(principal, &call(Rpc::GetRoom, Region::Eu)).unwrap().lifetime, None);
    }
}

#[test]
fn what_no_grant_allows_is_denied_by_the_first_reason_that_applies() {
    let rules = rules(CLASSROOM);
    let denied = Denial::PolicyDenied;
    let day = Duration::from_hours(24);
    let elsewhere = AccessRequest { project: "other", ..issue(Kind::Room, Role::Reader, None) };
    let above = seconds(24 * 3600 + 1);
    for (principal, ask, denial) in [
        (API, elsewhere, Denial::ProjectUnknown),
        ("k8s:classroom", issue(Kind::Room, Role::Reader, None), Denial::ProjectUnknown),
        ("k8s:classroom2/api", issue(Kind::Room, Role::Reader, None), Denial::ProjectUnknown),
        ("key:billing2", issue(Kind::Room, Role::Reader, None), Denial::ProjectUnknown),
        ("key:billing/x", issue(Kind::Room, Role::Reader, None), Denial::ProjectUnknown),
        (
            "spiffe://example.org/ns/classroom/sa",
            issue(Kind::Room, Role::Reader, None),
            Denial::ProjectUnknown,
        ),
        ("", issue(Kind::Room, Role::Reader, None), Denial::ProjectUnknown),
        (API, AccessRequest { rpc: Rpc::VerifyToken, ..elsewhere }, Denial::ProjectUnknown),
        (API, call(Rpc::ListScenes, Region::Sg), denied(MissingRight::Rpc)),
        (
            API,
            AccessRequest { rpc: Rpc::VerifyToken, mint: None, ..issue(Kind::Room, Role::Reader, None) },
            denied(MissingRight::Rpc),
        ),
        (API, issue(Kind::Sdk, Role::Reader, Some(Lifetime::Permanent)), denied(MissingRight::Kind)),
        (API, issue(Kind::Task, Role::Reader, above), denied(MissingRight::Kind)),
        (API, issue(Kind::Room, Role::Admin, Some(Lifetime::Permanent)), denied(MissingRight::Role)),
        (API, call(Rpc::GetRoom, Region::Sg), Denial::RegionForbidden),
        (
            API,
            AccessRequest {
                mint: mint(Kind::Room, Role::Reader, above),
                ..call(Rpc::CreateRoom, Region::Sg)
            },
            Denial::RegionForbidden,
        ),
        (API, issue(Kind::Room, Role::Writer, Some(Lifetime::Permanent)), Denial::PermanentTokenForbidden),
        (API, issue(Kind::Room, Role::Writer, above), Denial::TtlAboveMaximum(day)),
    ] {
        assert_eq!(rules.decide(principal, &ask).unwrap_err(), denial, "{principal} {ask:?}");
    }
}

/// Fault case 37, as far as it is the policy's: what cannot be a lifetime never gets here.
#[test]
fn no_lifetime_role_or_name_gets_around_a_grant() {
    let rules = rules(CLASSROOM);
    let day = Duration::from_hours(24);
    for lifetime in
        [day + Duration::from_millis(1), Duration::from_secs(u64::MAX / 2), Duration::from_millis(u64::MAX)]
    {
        let asked = Some(Lifetime::ttl(lifetime).unwrap());
        let denial = rules.decide(API, &issue(Kind::Room, Role::Writer, asked)).unwrap_err();
        assert_eq!(denial, Denial::TtlAboveMaximum(day), "{lifetime:?}");
    }
    for project in ["*", "", "default/", "default/*", "Default", "defaul", "default\0"] {
        let ask = AccessRequest { project, ..issue(Kind::Room, Role::Reader, None) };
        assert_eq!(rules.decide(API, &ask).unwrap_err(), Denial::ProjectUnknown, "{project:?}");
    }
    for principal in
        ["*", "k8s:*", "k8s:*/api", "k8s:classroom/", "K8s:classroom/api", "k8s:classroom\\api", "key:*"]
    {
        let denial = rules.decide(principal, &issue(Kind::Room, Role::Reader, None)).unwrap_err();
        assert_eq!(denial, Denial::ProjectUnknown, "{principal:?}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_denied() {
    let rules = rules(CLASSROOM);
    let room = mint(Kind::Room, Role::Reader, None);
    let denied = |ask: AccessRequest<'_>| rules.decide(API, &ask).unwrap_err();
    assert_eq!(
        denied(AccessRequest { region: None, ..call(Rpc::GetRoom, Region::Eu) }),
        Denial::RegionForbidden
    );
    assert_eq!(
        denied(AccessRequest { mint: room, ..call(Rpc::GetRoom, Region::Eu) }),
        Denial::PolicyDenied(MissingRight::Kind)
    );
    let nothing = AccessRequest { mint: None, ..issue(Kind::Room, Role::Reader, None) };
    assert_eq!(denied(nothing), Denial::PolicyDenied(MissingRight::Kind));
    let task =
        AccessRequest { mint: mint(Kind::Task, Role::Reader, None), ..call(Rpc::CreateRoom, Region::Eu) };
    assert_eq!(denied(task), Denial::PolicyDenied(MissingRight::Kind));
}

/// A grant of everything for `key:x`, except what the test says.
fn grant(name: &str, rpcs: &str, rest: &str) -> String {
    format!(
        "[[grants]]\nname = \"{name}\"\nprincipals = [\"key:x\"]\nprojects = [\"default\"]\nrpcs = {rpcs}\n{rest}\n"
    )
}

#[test]
fn a_token_beside_a_creation_is_decided_as_issue_token_by_the_same_grant() {
    let create = r#"["inkpass.v1.RoomService/CreateRoom"]"#;
    let both = r#"["inkpass.v1.RoomService/CreateRoom", "inkpass.v1.TokenService/IssueToken"]"#;
    let issue_only = r#"["inkpass.v1.TokenService/IssueToken"]"#;
    let tokens = |role| format!("tokens = [{{ kind = \"room\", strongest_role = \"{role}\" }}]");
    let ask =
        |role, ttl| AccessRequest { mint: mint(Kind::Room, role, ttl), ..call(Rpc::CreateRoom, Region::Eu) };

    let apart =
        rules(&(grant("a", create, "regions = [\"eu\"]") + &grant("b", issue_only, &tokens("admin"))));
    assert_eq!(
        apart.decide("key:x", &ask(Role::Reader, None)).unwrap_err(),
        Denial::PolicyDenied(MissingRight::IssueToken),
        "no one grant allows the whole request"
    );
    assert!(
        apart.decide("key:x", &call(Rpc::CreateRoom, Region::Eu)).is_ok(),
        "without a token it is allowed"
    );

    let together = rules(&grant("a", both, &format!("regions = [\"eu\"]\n{}", tokens("writer"))));
    assert!(together.decide("key:x", &ask(Role::Writer, None)).is_ok());
    let denied = |role, ttl| together.decide("key:x", &ask(role, ttl)).unwrap_err();
    assert_eq!(denied(Role::Admin, None), Denial::PolicyDenied(MissingRight::Role));
    assert_eq!(denied(Role::Writer, Some(Lifetime::Permanent)), Denial::PermanentTokenForbidden);
    assert_eq!(denied(Role::Writer, seconds(86_401)), Denial::TtlAboveMaximum(Duration::from_hours(24)));
}

#[test]
fn a_batch_needs_its_own_rpc_and_mints_no_more_than_its_grant() {
    let batch = r#"["inkpass.v1.TokenService/BatchIssueTokens"]"#;
    let rules = rules(&grant("a", batch, "tokens = [{ kind = \"task\", strongest_role = \"reader\" }]"));
    let ask = |rpc, role| AccessRequest { rpc, ..issue(Kind::Task, role, None) };
    assert!(rules.decide("key:x", &ask(Rpc::BatchIssueTokens, Role::Reader)).is_ok());
    let denied = |rpc, role| rules.decide("key:x", &ask(rpc, role)).unwrap_err();
    assert_eq!(denied(Rpc::BatchIssueTokens, Role::Writer), Denial::PolicyDenied(MissingRight::Role));
    assert_eq!(denied(Rpc::IssueToken, Role::Reader), Denial::PolicyDenied(MissingRight::Rpc));
}

#[test]
fn the_first_grant_in_file_order_that_allows_the_whole_request_decides() {
    let issue_token = r#"["inkpass.v1.TokenService/IssueToken"]"#;
    let tokens = |default: &str, max: &str, more: &str| {
        format!(
            "tokens = [{{ kind = \"room\", strongest_role = \"reader\", default_ttl = \"{default}\", max_ttl = \"{max}\"{more} }}]"
        )
    };
    let text = grant("short", issue_token, &tokens("1m", "10m", ""))
        + &grant("shorter", issue_token, &tokens("5m", "5m", ""))
        + &grant("long", issue_token, &tokens("20m", "1h", ""))
        + &grant("ever", issue_token, &tokens("1m", "1m", ", permanent = true"));
    let rules = rules(&text);
    let decide = |ttl| {
        let decision = rules.decide("key:x", &issue(Kind::Room, Role::Reader, ttl)).unwrap();
        (decision.grant.name(), decision.lifetime)
    };
    assert_eq!(decide(None), ("short", seconds(60)));
    assert_eq!(decide(seconds(600)), ("short", seconds(600)));
    assert_eq!(decide(seconds(601)), ("long", seconds(601)));
    assert_eq!(decide(Some(Lifetime::Permanent)), ("ever", Some(Lifetime::Permanent)));
    let above = rules.decide("key:x", &issue(Kind::Room, Role::Reader, seconds(3601))).unwrap_err();
    assert_eq!(above, Denial::TtlAboveMaximum(Duration::from_hours(1)), "the most of any grant");
}

#[test]
fn verifying_needs_its_own_grant_and_reaches_no_further() {
    let verify = r#"["inkpass.v1.TokenService/VerifyToken"]"#;
    let other = CLASSROOM.replace("\"default\"", "\"other\"");
    let other = other.split("[[tests]]").next().unwrap();
    let rules = rules(&(grant("verify", verify, "") + other));
    let verifier = rules.may_verify("key:x");
    assert!(!verifier.is_empty() && verifier.contains("default"));
    assert!(!verifier.contains("other") && !verifier.contains("") && !verifier.contains("*"));
    for principal in [API, "key:nobody", "key:x/y", "*"] {
        let nobody = rules.may_verify(principal);
        assert!(nobody.is_empty() && !nobody.contains("default") && !nobody.contains("other"), "{principal}");
    }
}

#[test]
fn nothing_is_learnt_of_a_project_before_it_is_allowed() {
    let rules = rules(CLASSROOM);
    assert!(rules.admit(API, "default").is_ok());
    for (principal, project) in [(API, "other"), (API, ""), (API, "*"), ("key:nobody", "default")] {
        assert_eq!(
            rules.admit(principal, project).err(),
            Some(Denial::ProjectUnknown),
            "{principal} {project}"
        );
    }
    let decision = rules.admit(API, "default").unwrap().decide(Rpc::GetRoom, Some(Region::UsSv), None);
    assert_eq!(decision.unwrap().grant.name(), "classroom");
}

#[test]
fn without_a_file_everyone_may_do_everything_for_as_long_as_is_usual() {
    let hours = |hours| Denial::TtlAboveMaximum(Duration::from_hours(hours));
    for (everyone, permanent, most) in [
        (Everyone::Usual, false, 24),
        (Everyone::Permissive, true, 24),
        (Everyone::Offline, true, 1000 * 365 * 24),
    ] {
        let rules = Rules::for_everyone(everyone);
        let decide = |kind, ttl| {
            rules.decide("anyone", &issue(kind, Role::Admin, ttl)).map(|decision| decision.lifetime)
        };
        assert_eq!(decide(Kind::Sdk, None), Ok(seconds(300)));
        assert_eq!(decide(Kind::Task, None), Ok(seconds(3600)));
        assert_eq!(decide(Kind::Sdk, Some(Lifetime::Permanent)).is_ok(), permanent);
        assert_eq!(decide(Kind::Room, seconds(most * 3600 + 1)), Err(hours(most)));
        assert_eq!(decide(Kind::Room, seconds(most * 3600)), Ok(seconds(most * 3600)));
        assert!(rules.decide("", &call(Rpc::DisableRoom, Region::CnHz)).is_ok());
        assert!(rules.may_verify("anyone").contains("any"));
        assert_eq!(rules.grants()[0].quota(), None);
    }
}
