//! Runs the queries of docs/search-the-audit-trail.md.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use inkpass::{
    audit::{Decision, Line, OnFailure},
    token::{Fingerprint, Fingerprinter},
};
use serde_json::{Value, json};

use super::{Trail, line};
use crate::{
    command_line::program,
    helpers::{page, place::Place, skipped::not_installed},
};

/// Runs the page's command that contains this, in a directory with an `audit.log`.
fn run(containing: &str, directory: &Path, more: &[(&str, &str)]) -> Option<String> {
    page::run("docs/search-the-audit-trail.md", containing, directory, more)
}

fn objects(printed: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(printed).into_iter().map(Result::unwrap).collect()
}

fn fingerprints(count: usize) -> Vec<Fingerprint> {
    let fingerprinter = Fingerprinter::new(b"a-salt-of-enough-bytes");
    (0..count).map(|number| fingerprinter.of(&format!("token {number}"))).collect()
}

#[tokio::test]
async fn a_token_s_line_is_found_by_its_fingerprint() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    fs::write(&path, "{\"time\":\"half a li").unwrap();
    let trail = Trail::start(&path, OnFailure::Deny);
    let tokens = fingerprints(1020);
    let minted =
        [("alone", &tokens[..1]), ("some", &tokens[1..10]), ("many", &tokens[10..1010]), ("no", &[])];
    for (principal, fingerprints) in minted {
        trail.audit.write(&Line { principal, fingerprints, ..line() }).await.unwrap();
    }
    for (token, principal) in [(0, "alone"), (5, "some"), (10, "many"), (1009, "many")] {
        let fingerprint = tokens[token].to_string();
        let query = [("0de366455960c8c75f509a6cad159567", &*fingerprint)];
        let Some(found) = run("--arg token", directory.path(), &query) else { return };
        let found = objects(&found);
        assert_eq!((found.len(), &found[0]["principal"]), (1, &principal.into()), "{token}");
    }
    let none = run(
        "--arg token",
        directory.path(),
        &[("0de366455960c8c75f509a6cad159567", &tokens[1015].to_string())],
    );
    assert_eq!(none.as_deref(), Some(""));
}

#[tokio::test]
async fn denials_are_found_by_their_caller() {
    let directory = Place::new();
    let trail = Trail::start(directory.path().join("audit.log"), OnFailure::Deny);
    for decision in [Decision::Allow, Decision::Deny] {
        for principal in ["k8s:classroom/api", "another"] {
            trail.audit.write(&Line { decision, principal, ..line() }).await.unwrap();
        }
    }
    let Some(found) = run("\"deny\"", directory.path(), &[]) else { return };
    let found = objects(&found);
    assert_eq!((found.len(), &found[0]["principal"]), (1, &"k8s:classroom/api".into()));
}

#[test]
fn what_stands_is_there_once_without_tokens_that_were_withheld() {
    let directory = Place::new();
    let trail = r#"{"time":"1"}
{"time":"2"}
{"mark":"withheld","time":"2"}
{"mark":"again","time":"1"}
{"mark":"again","time":"2"}
{"time":"3","phase":"outcome","uuid":"r","fingerprint":"f"}
{"mark":"withheld","time":"3","phase":"outcome","uuid":"r","fingerprint":"f"}
"#;
    fs::write(directory.join("audit.log"), trail).unwrap();
    let Some(found) = run("withheld", directory.path(), &[]) else { return };
    assert_eq!(
        objects(&found),
        [json!({ "time": "1" }), json!({ "time": "3", "phase": "outcome", "uuid": "r" })]
    );
}

#[test]
fn a_fingerprint_is_made_of_a_token_and_the_salt_by_us_and_by_openssl() {
    let directory = Place::new();
    let salt = directory.join("salt");
    fs::write(&salt, "a-salt-of-enough-bytes").unwrap();
    fs::set_permissions(&salt, fs::Permissions::from_mode(0o400)).unwrap();
    let program = format!("{} token", program().display());
    let places = [
        ("/etc/inkpass/audit-salt", salt.to_str().unwrap()),
        ("$TOKEN", "token 0"),
        ("inkpass token", &program),
    ];
    let Some(found) = run("token fingerprint", directory.path(), &places) else { return };
    let expected = fingerprints(1)[0].to_string();
    assert_eq!(found.trim(), expected);

    let mut openssl = Command::new("sh");
    openssl.args([
        "-c",
        "printf %s 'token 0' | openssl dgst -sha256 -mac HMAC -macopt key:a-salt-of-enough-bytes",
    ]);
    let output = openssl.output().unwrap();
    // The shell found no such command.
    if output.status.code() == Some(127) {
        not_installed("openssl");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = String::from_utf8(output.stdout).unwrap();
    assert_eq!(digest.trim().rsplit(' ').next().unwrap()[..32], expected);
}
