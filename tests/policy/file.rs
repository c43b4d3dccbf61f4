//! The policy file: what is right is taken, and every mistake is listed with its line and column.

use std::collections::BTreeSet;

use inkpass::{
    methods::Rpc,
    policy::{KnownProjects, Rules},
};

use super::{CLASSROOM, rules, seconds};

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = Rules::parse(text, None, None).err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_contract_s_example_is_right_and_its_test_holds() {
    assert_eq!(rules(&format!("\n\n{CLASSROOM}")).grants()[0].line(), 3);
    let rules = rules(CLASSROOM);
    let (grant, example) = (&rules.grants()[0], &rules.examples()[0]);
    let quota = "tokens_per_second = 100, burst = 2000, upstream_per_second = 20, watches = 10";
    assert_eq!((grant.line(), grant.quota().unwrap().to_string()), (1, quota.to_owned()));
    assert_eq!((example.line, example.run(&rules)), (9, Ok(())));
}

#[test]
fn every_mistake_is_listed_by_line_and_column() {
    let text = r#"typo = 1
[[grants]]
name = "a grant"
principals = ["*", "k8s:*", "key:ok", "key:ok", 7]
rpcs = ["inkpass.v1.TokenService/Mint", "inkpass.v1.NoService/*", "*", "inkpass.v1.RoomService/GetRoom", "inkpass.v1.RoomService/GetRoom"]
projects = ["*", "é", "default"]
regions = ["us-sv", "mars", "us-sv"]
quota = { tokens_per_second = 0, burst = -1, upstream_per_second = 1.5, watches = 1_000_000, "ünknown" = 1 }
[[grants]]
name = "tokens"
principals = ["k8s:team/*"]
rpcs = ["inkpass.v1.TokenService/IssueToken"]
projects = []
regions = ["eu"]
tokens = [
    { kind = "sdk", strongest_role = "owner", default_ttl = "2h", max_ttl = "1h", permanent = true },
    { kind = "room", strongest_role = "admin", default_ttl = "0s", max_ttl = "367days" },
    { kind = "room", strongest_role = "admin", max_ttl = "10m", permanent = "yes" },
    { kind = "pass", strongest_role = "admin", default_ttl = 60 },
    { kind = "task", max_ttl = "1ns" },
]
quota = { burst = 1 }
[[grants]]
name = "tokens"
principals = "key:x"
rpcs = ["inkpass.v1.SceneService/*", "inkpass.v1.SceneService/ListScenes"]
tokens = [{}]
quota = {}
[[grants]]
[[tests]]
principal = "k8s:team/*"
rpc = "inkpass.v1.TokenService/Mint"
expect = "deny"
[[tests]]
principal = "key:x"
rpc = "inkpass.v1.TokenService/IssueToken"
project = "default"
region = "eu"
role = "admin"
permanent = false
expect = "allow"
[[tests]]
principal = "key:x"
rpc = "inkpass.v1.RoomService/CreateRoom"
project = "default"
kind = "task"
ttl = "1h"
permanent = true
expect = "allow"
"#;
    let rpc = "must be an RPC, such as inkpass.v1.TokenService/IssueToken, or all of a service, such as inkpass.v1.RoomService/*";
    let name = "must be 1 to 63 of 0-9 A-Z a-z _ . and -";
    let ttl = "must be a duration above zero with its unit, such as \"10m\"";
    let regions = "must be one of us-sv, sg, in-mum, eu, gb-lon, cn-hz";
    let expected = [
        "1:1: typo: is not a known key".to_owned(),
        format!("3:8: grants[0].name: {name}"),
        "4:15: grants[0].principals[0]: a * must be the whole last part, after a /".to_owned(),
        "4:20: grants[0].principals[1]: a * must be the whole last part, after a /".to_owned(),
        "4:39: grants[0].principals[3]: is in this list already".to_owned(),
        "4:49: grants[0].principals[4]: must be a string".to_owned(),
        format!("5:9: grants[0].rpcs[0]: {rpc}"),
        format!("5:41: grants[0].rpcs[1]: {rpc}"),
        format!("5:67: grants[0].rpcs[2]: {rpc}"),
        "5:106: grants[0].rpcs[4]: is in this list already".to_owned(),
        format!("6:13: grants[0].projects[0]: {name}"),
        format!("6:18: grants[0].projects[1]: {name}"),
        format!("7:21: grants[0].regions[1]: {regions}"),
        "7:29: grants[0].regions[2]: is in this list already".to_owned(),
        "8:31: grants[0].quota.tokens_per_second: must be a whole number, 1 to 1000000".to_owned(),
        "8:42: grants[0].quota.burst: must be a whole number, 1 to 1000000".to_owned(),
        "8:68: grants[0].quota.upstream_per_second: must be a whole number, 1 to 100000".to_owned(),
        "8:83: grants[0].quota.watches: must be a whole number, 1 to 100000".to_owned(),
        "8:94: grants[0].quota.ünknown: is not a known key".to_owned(),
        "13:12: grants[1].projects: is empty; leave it out, or name something".to_owned(),
        "14:11: grants[1].regions: binds nothing: no RPC of this grant goes upstream, and a token has no region".to_owned(),
        "16:38: grants[1].tokens[0].strongest_role: must be admin, writer or reader".to_owned(),
        "16:61: grants[1].tokens[0].default_ttl: is above the max_ttl of 1h".to_owned(),
        "16:95: grants[1].tokens[0].permanent: permanent SDK tokens are not for a wildcard: name each principal in a grant of its own".to_owned(),
        format!("17:62: grants[1].tokens[1].default_ttl: {ttl}"),
        "17:78: grants[1].tokens[1].max_ttl: must be at most 366 days; what is to live longer is permanent = true".to_owned(),
        "18:5: grants[1].tokens[2]: default_ttl is missing: the usual one is above max_ttl".to_owned(),
        "18:14: grants[1].tokens[2].kind: is in this list already; put what else it may be into a grant of its own".to_owned(),
        "18:77: grants[1].tokens[2].permanent: must be true or false".to_owned(),
        "19:14: grants[1].tokens[3].kind: must be sdk, room or task".to_owned(),
        format!("19:62: grants[1].tokens[3].default_ttl: {ttl}"),
        "20:5: grants[1].tokens[4]: strongest_role is missing".to_owned(),
        format!("20:32: grants[1].tokens[4].max_ttl: {ttl}"),
        "22:9: grants[1].quota: tokens_per_second is missing, which burst goes with".to_owned(),
        "23:1: grants[2]: projects is missing".to_owned(),
        "23:1: grants[2]: regions is missing: without one no call goes upstream".to_owned(),
        "24:8: grants[2].name: the grant of line 9 has this name too".to_owned(),
        "25:14: grants[2].principals: must be a list".to_owned(),
        "26:38: grants[2].rpcs[1]: is in this list already".to_owned(),
        "27:10: grants[2].tokens: allows nothing: add IssueToken, which a token beside a new room or conversion needs too, or BatchIssueTokens".to_owned(),
        "27:11: grants[2].tokens[0]: kind is missing".to_owned(),
        "27:11: grants[2].tokens[0]: strongest_role is missing".to_owned(),
        "28:9: grants[2].quota: limits nothing; leave it out, or set a limit".to_owned(),
        "29:1: grants[3]: name is missing".to_owned(),
        "29:1: grants[3]: principals is missing".to_owned(),
        "29:1: grants[3]: projects is missing".to_owned(),
        "29:1: grants[3]: rpcs is missing".to_owned(),
        "30:1: tests[0]: project is missing, and there is more than one that could be meant".to_owned(),
        "31:13: tests[0].principal: must be a principal in full, such as k8s:classroom/api, without a *".to_owned(),
        "32:7: tests[0].rpc: must be an RPC, such as inkpass.v1.TokenService/IssueToken".to_owned(),
        "33:10: tests[0].expect: must be one of allow, PROJECT_UNKNOWN, POLICY_DENIED, REGION_FORBIDDEN, PERMANENT_TOKEN_FORBIDDEN, TTL_ABOVE_MAXIMUM".to_owned(),
        "34:1: tests[1]: this RPC does not go upstream, and a token has no region: leave out region".to_owned(),
        "40:13: tests[1].permanent: must be true, or left out".to_owned(),
        "42:1: tests[2]: has both ttl and permanent".to_owned(),
        "42:1: tests[2]: region is missing: this RPC goes upstream".to_owned(),
    ];
    let found = mistakes(text);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{:#?}", &found[expected.len().min(found.len())..]);
}

/// One grammar says who can call, who can be granted something, and whom a test can be about.
#[test]
fn a_principal_that_no_caller_can_have_is_a_mistake() {
    let issuer = "oidc:<issuer name>/<subject>; the issuer's name is 1 to 63 of a-z 0-9 and -, the subject 1 to 255 characters of ASCII without white space";
    let long = format!("key:{}", "x".repeat(64));
    for (principal, mistake) in [
        ("oidc:Corp_X.y/alice", format!("a principal is {issuer}")),
        ("oidc:Corp_X.y/*", format!("no principal matches it: a principal is {issuer}")),
        ("k8s:classroom/api/*", "no principal matches it: a principal is k8s:<namespace>/<service account>, in lower case as Kubernetes has them".to_owned()),
        (&long, "a principal is key:<name>; the name is 1 to 63 of 0-9 A-Z a-z . _ and -".to_owned()),
    ] {
        let granted = CLASSROOM.replace("key:billing", principal);
        assert_eq!(mistakes(&granted), [format!("3:78: grants[0].principals[2]: {mistake}")]);
        let tested = CLASSROOM.replace("principal = \"k8s:classroom/api\"", &format!("principal = \"{principal}\""));
        let expected = "10:13: tests[0].principal: must be a principal in full, such as k8s:classroom/api, without a *";
        assert_eq!(mistakes(&tested), [expected]);
    }
}

#[test]
fn what_is_no_toml_is_listed_too() {
    let found = mistakes("[[grants]\nname = \"a\nrpcs = [\n");
    assert!(
        found.len() > 1 && found.iter().all(|mistake| mistake.contains("this is not TOML: ")),
        "{found:#?}"
    );
    assert!(found[0].starts_with("1:"), "{found:#?}");
    assert_eq!(mistakes("grants = 1"), ["1:10: grants: must be a list"]);
    assert_eq!(mistakes("grants = [1]"), ["1:11: grants[0]: must be a table"]);
    assert_eq!(mistakes("grants = []"), ["1:10: grants: is empty; leave it out, or name something"]);
    assert_eq!(mistakes(""), ["1:1: there is no grant, so everything would be denied; add [[grants]]"]);
    let twice = CLASSROOM.replace("regions =", "name = \"b\"\nregions =");
    assert_eq!(mistakes(&twice).len(), 1, "{:?}", mistakes(&twice));
}

#[test]
fn a_project_that_the_settings_do_not_have_is_a_mistake() {
    let known = |names: &[&str], default: Option<&str>| KnownProjects {
        names: names.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
        default: default.map(str::to_owned),
    };
    let parse = |projects: &KnownProjects| {
        let mistakes = Rules::parse(CLASSROOM, Some(projects), None).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(parse(&known(&["default", "other"], Some("default"))).is_empty());
    assert!(parse(&known(&["default", "other"], None)).is_empty(), "the test is about the only one named");
    assert_eq!(
        parse(&known(&["other"], Some("other"))),
        ["5:13: grants[0].projects[0]: is no project of the settings"]
    );
    // The test is then about the default project, which no grant is for.
    let text = CLASSROOM.replace("POLICY_DENIED", "PROJECT_UNKNOWN");
    let projects = known(&["default", "other"], Some("other"));
    let rules = Rules::parse(&text, Some(&projects), None).unwrap();
    assert_eq!(rules.examples()[0].run(&rules), Ok(()));
}

#[test]
fn lifetimes_that_are_not_said_are_the_usual_ones() {
    let text = r#"
[[grants]]
name = "a"
principals = ["key:a"]
rpcs = ["inkpass.v1.TokenService/*"]
projects = ["default"]
tokens = [{ kind = "sdk", strongest_role = "admin", permanent = true }, { kind = "task", strongest_role = "admin" }]
"#;
    let example = |kind: &str, lifetime: &str, expect: &str| {
        format!(
            "[[tests]]\nprincipal = \"key:a\"\nrpc = \"inkpass.v1.TokenService/IssueToken\"\nkind = \"{kind}\"\nrole = \"admin\"\n{lifetime}\nexpect = \"{expect}\"\n"
        )
    };
    let tests = [
        example("sdk", "ttl = \"1h\"", "allow"),
        example("sdk", "ttl = \"3601s\"", "TTL_ABOVE_MAXIMUM"),
        example("sdk", "permanent = true", "allow"),
        example("task", "ttl = \"24h\"", "allow"),
        example("task", "ttl = \"25h\"", "TTL_ABOVE_MAXIMUM"),
        example("task", "permanent = true", "PERMANENT_TOKEN_FORBIDDEN"),
        example("room", "", "POLICY_DENIED"),
    ];
    let rules = rules(&(text.to_owned() + &tests.concat()));
    assert_eq!(rules.examples().len(), 7);
    for example in rules.examples() {
        assert_eq!(example.run(&rules), Ok(()), "line {}", example.line);
    }
    let ask = inkpass::policy::AccessRequest {
        rpc: Rpc::IssueToken,
        project: "default",
        region: None,
        mint: super::mint(inkpass::token::Kind::Sdk, inkpass::token::Role::Admin, None),
    };
    assert_eq!(rules.decide("key:a", &ask).unwrap().lifetime, seconds(300));
}

#[test]
fn a_test_that_does_not_hold_says_what_came_instead() {
    let rules = rules(&CLASSROOM.replace("role = \"admin\"\n", "role = \"reader\"\n"));
    let what = rules.examples()[0].run(&rules).unwrap_err();
    assert_eq!(what, "expected POLICY_DENIED, but grant classroom of line 1 allows it");
    let rules = super::rules(&CLASSROOM.replace("\"POLICY_DENIED\"", "\"allow\""));
    let what = rules.examples()[0].run(&rules).unwrap_err();
    let role = "no grant that has this RPC and kind of token has so strong a role";
    assert_eq!(what, format!("expected allow, but it is POLICY_DENIED: {role}"));
}
