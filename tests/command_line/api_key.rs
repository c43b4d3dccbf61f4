//! `inkpass api-key`.

use std::fs;

use inkpass::caller::ApiKeys;

use super::{fail, run, text};
use crate::helpers::place::Place;

#[test]
fn a_new_key_and_its_lines_fit_together() {
    let output = run(&["api-key", "new", "--principal", "key:billing"]);
    assert!(output.status.success());
    let (key, lines) =
        text(&output.stdout).split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(key.starts_with("ik_") && key.len() == 46, "{key}");
    assert!(!lines.contains(&key) && !text(&output.stderr).contains(&key), "it is printed once");

    let place = Place::new();
    let file = place.join("callers.toml");
    fs::write(&file, &lines).unwrap();
    let keys = ApiKeys::load(file).unwrap();
    assert_eq!(keys.find(key.as_bytes()).unwrap().as_str(), "key:billing");

    let another = text(&run(&["api-key", "new", "--principal", "key:billing"]).stdout);
    assert!(!another.contains(&key));
}

#[test]
fn a_key_s_principal_has_its_form() {
    for principal in ["billing", "key:", "key:a b", "k8s:classroom/api", "spiffe://example.org/a"] {
        assert!(fail(64, &["api-key", "new", "--principal", principal]).contains("key:"));
    }
    assert!(fail(64, &["api-key", "new"]).contains("--principal"));
}
