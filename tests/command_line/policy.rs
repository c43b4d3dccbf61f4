//! `policy explain` and `policy test`, in both forms of output.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{fail, inkpass, output_of, run, succeed, text};
use crate::{helpers::place::Place, policy::CLASSROOM};

struct Files(Place);

impl Files {
    fn new() -> Self {
        let files = Self(Place::new());
        files.write("policy.toml", CLASSROOM);
        files
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// `policy explain` of a caller that the policy knows.
    fn explain<'a>(policy: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        [&["policy", "explain", "--principal", "k8s:classroom/api", "--policy", policy][..], rest].concat()
    }
}

const ISSUE: [&str; 6] =
    ["--rpc", "inkpass.v1.TokenService/IssueToken", "--kind", "room", "--role", "writer"];

fn no(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn explain_says_by_which_grant_and_line_something_is_allowed() {
    let files = Files::new();
    let policy = files.path("policy.toml");
    let allowed = succeed(&Files::explain(&policy, &ISSUE));
    let quota = "tokens_per_second = 100, burst = 2000, upstream_per_second = 20, watches = 10";
    assert_eq!(allowed, format!("allowed by grant classroom, {policy}:1\nttl: 1h\nquota: {quota}\n"));
    let long = [&ISSUE[..], &["--ttl", "90m", "--output", "json"]].concat();
    let allowed: Value = serde_json::from_str(&succeed(&Files::explain(&policy, &long))).unwrap();
    let grant = json!({ "name": "classroom", "line": 1 });
    let quota = json!({ "tokens_per_second": 100, "burst": 2000, "upstream_per_second": 20, "watches": 10 });
    assert_eq!(
        allowed,
        json!({ "allowed": true, "grant": grant, "ttl": "5400s", "permanent": false, "quota": quota })
    );
    let call = ["--rpc", "inkpass.v1.RoomService/GetRoom", "--region", "eu"];
    assert!(succeed(&Files::explain(&policy, &call)).starts_with("allowed by grant classroom"));
}

#[test]
fn explain_says_why_not_and_what_was_missing() {
    let files = Files::new();
    let policy = files.path("policy.toml");
    let admin = ISSUE.map(|argument| if argument == "writer" { "admin" } else { argument });
    let role = "no grant that has this RPC and kind of token has so strong a role";
    let denied = no(&Files::explain(&policy, &admin));
    let expected =
        format!("denied: POLICY_DENIED, role: {role}\n  {policy}:1 grant classroom: POLICY_DENIED, role\n");
    assert_eq!(denied, expected);
    let denied = no(&Files::explain(&policy, &[&admin[..], &["--output", "json"]].concat()));
    let denied: Value = serde_json::from_str(&denied).unwrap();
    let grants = json!([{ "name": "classroom", "line": 1, "answer": "POLICY_DENIED, role" }]);
    let expected = json!({ "allowed": false, "reason": "POLICY_DENIED", "missing": "role", "message": role, "grants": grants });
    assert_eq!(denied, expected);
    for (rest, reason) in [
        (&["--permanent"][..], "denied: PERMANENT_TOKEN_FORBIDDEN: "),
        (&["--ttl", "25h"], "denied: TTL_ABOVE_MAXIMUM, 1day: the ttl is above the maximum of 1day"),
        (&["--project", "other"], "denied: PROJECT_UNKNOWN: no grant names this principal and this project"),
    ] {
        let denied = no(&Files::explain(&policy, &[&ISSUE[..], rest].concat()));
        assert!(denied.starts_with(reason), "{denied}");
    }
    let call = ["--rpc", "inkpass.v1.RoomService/GetRoom", "--region", "sg"];
    assert!(no(&Files::explain(&policy, &call)).starts_with("denied: REGION_FORBIDDEN: "));
}

#[test]
fn explain_takes_the_policy_and_the_projects_of_the_settings() {
    let files = Files::new();
    let settings = |projects: &str| format!("[policy]\nfile = {:?}\n{projects}", files.path("policy.toml"));
    files.write("inkpass.toml", &settings("[projects.default]\nregion = \"eu\"\n"));
    let config = files.path("inkpass.toml");
    let explain =
        ["policy", "explain", "--principal", "key:billing", "--rpc", "inkpass.v1.RoomService/GetRoom"];
    let by_config = [&explain[..], &["--config", &config]].concat();
    assert!(
        succeed(&by_config).starts_with("allowed by grant classroom"),
        "the default region of the only project"
    );
    let output = output_of(inkpass(&explain).env("INKPASS_CONFIG", &config));
    assert!(output.status.success(), "{}", text(&output.stderr));
    files.write("inkpass.toml", &settings("[projects.default]\nregion = \"sg\"\n"));
    assert!(no(&by_config).starts_with("denied: REGION_FORBIDDEN"));
    files.write("inkpass.toml", &settings("[projects.default]\n[projects.other]\n"));
    assert!(fail(64, &by_config).contains("--region: region is missing"), "it has no default region");
    let both = CLASSROOM.split("[[tests]]").next().unwrap();
    files.write("policy.toml", &both.replace("[\"default\"]", "[\"default\", \"other\"]"));
    assert!(fail(64, &by_config).contains("--project: more than one could be meant"));
    let marked = "[projects.other]\n[projects.default]\ndefault = true\nregion = \"eu\"\n";
    files.write("inkpass.toml", &settings(marked));
    assert!(succeed(&by_config).starts_with("allowed by grant classroom"), "the project that is marked");
    files.write("policy.toml", CLASSROOM);
    files.write("inkpass.toml", &settings("[projects.other]\nregion = \"eu\"\n"));
    assert!(
        fail(64, &by_config)
            .contains("policy.toml:5:13: grants[0].projects[0]: is no project of the settings")
    );
    files.write("inkpass.toml", &settings("[projects.default]\nregion = \"mars\"\n"));
    assert!(fail(64, &by_config).contains("inkpass.toml:4:10: projects.default.region: must be one of "));
    files.write("inkpass.toml", "[whiteboard]\nnonsense = 1\n[projects.default]\nregion = \"eu\"\n");
    let by_variable = output_of(inkpass(&by_config).env("INKPASS_POLICY__FILE", files.path("policy.toml")));
    assert!(by_variable.status.success(), "{}", text(&by_variable.stderr));
    files.write("inkpass.toml", "[projects.default]\n");
    assert!(fail(64, &by_config).contains("there is no policy file"));
    assert!(fail(64, &explain).contains("there is no policy file"));
}

#[test]
fn a_question_that_makes_no_sense_is_wrong_usage() {
    let files = Files::new();
    let policy = files.path("policy.toml");
    for (rest, what) in [
        (&["--rpc", "inkpass.v1.TokenService/Mint"][..], "must be the full name of an RPC"),
        (&["--rpc", "inkpass.v1.TokenService/IssueToken"], "a token has a kind and a role"),
        (&["--rpc", "inkpass.v1.TokenService/VerifyToken", "--role", "admin"], "this RPC mints nothing"),
        (&["--rpc", "inkpass.v1.RoomService/GetRoom"], "--region: region is missing"),
        (&[&ISSUE[..], &["--region", "eu"]].concat(), "leave out region"),
        (&[&ISSUE[..], &["--ttl", "0s"]].concat(), "--ttl: must be above zero"),
        (&[&ISSUE[..], &["--ttl", "1h", "--permanent"]].concat(), "cannot be used with"),
    ] {
        let error = fail(64, &Files::explain(&policy, rest));
        assert!(error.contains(what), "{rest:?}: {error}");
    }
}

#[test]
fn a_principal_that_no_caller_can_have_is_wrong_usage() {
    let files = Files::new();
    files.write("never.toml", &CLASSROOM.replace("key:billing", "oidc:Corp_X.y/alice"));
    let (policy, never) = (files.path("policy.toml"), files.path("never.toml"));
    for (principal, what) in [
        ("oidc:Corp_X.y/alice", "a principal is oidc:<issuer name>/<subject>; the issuer's name is 1 to 63"),
        ("k8s:classroom/*", "a principal is k8s:<namespace>/<service account>"),
        ("alice", "a principal is k8s:<namespace>/<service account>, oidc:<issuer name>/<subject>, "),
        ("anonymous", "a principal is "),
    ] {
        let explain = ["policy", "explain", "--principal", principal, "--policy", &policy];
        let error = fail(64, &[&explain[..], &ISSUE].concat());
        assert!(error.contains("--principal") && error.contains(what), "{principal}: {error}");
    }
    let error = fail(64, &["policy", "test", &never]);
    let place =
        format!("{never}:3:78: grants[0].principals[2]: a principal is oidc:<issuer name>/<subject>; ");
    assert!(error.contains(&place), "{error}");
}

#[test]
fn test_runs_the_examples_and_names_each_that_fails() {
    let files = Files::new();
    let policy = files.path("policy.toml");
    assert_eq!(succeed(&["policy", "test", &policy]), "1 run, 0 failed\n");
    files.write("wrong.toml", &CLASSROOM.replace("\"POLICY_DENIED\"", "\"allow\""));
    let wrong = files.path("wrong.toml");
    let message = "expected allow, but it is POLICY_DENIED: no grant that has this RPC and kind of token has so strong a role";
    assert_eq!(no(&["policy", "test", &policy, &wrong]), format!("{wrong}:9: {message}\n2 run, 1 failed\n"));
    let failed: Value = serde_json::from_str(&no(&["policy", "test", &wrong, "--output", "json"])).unwrap();
    assert_eq!(failed, json!({ "run": 1, "failed": [{ "file": wrong, "line": 9, "message": message }] }));
}

#[test]
fn a_bad_file_is_wrong_usage_with_every_mistake() {
    let files = Files::new();
    files.write("bad.toml", &CLASSROOM.replace("\"us-sv\", \"eu\"", "\"mars\", \"moon\""));
    let (bad, gone) = (files.path("bad.toml"), files.path("gone.toml"));
    let error = fail(64, &["policy", "test", &bad, &gone]);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(
        lines[0].starts_with(&format!("inkpass: {bad}:6:12: grants[0].regions[0]: must be one of ")),
        "{error}"
    );
    assert!(lines[1].starts_with(&format!("inkpass: {bad}:6:20: grants[0].regions[1]: ")), "{error}");
    assert!(lines[2].starts_with(&format!("inkpass: {gone}: cannot be read: ")), "{error}");
    let explain = Files::explain(&bad, &ISSUE);
    assert!(fail(64, &explain).contains("bad.toml:6:12: "));
}
