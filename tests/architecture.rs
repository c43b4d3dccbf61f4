//! The layout's rules, held against the sources: docs/architecture.md.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(place: &str) -> Vec<(PathBuf, String)> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(place);
    let mut found = Vec::new();
    let mut places = vec![place];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = fs::read_to_string(&place).unwrap();
            found.push((place, text));
        }
    }
    assert!(!found.is_empty());
    found
}

/// Comments may name anything.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[track_caller]
fn assert_free_of(place: &str, forbidden: &[&str]) {
    for (path, text) in sources(place) {
        for line in code(&text) {
            for name in forbidden {
                assert!(!line.contains(name), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_token_core_knows_no_network() {
    assert_free_of("token", &["tonic", "prost", "reqwest", "axum", "tokio"]);
}

#[test]
fn the_grpc_edge_knows_no_http_client() {
    assert_free_of("rpc", &["reqwest"]);
}

#[test]
fn nothing_below_imports_the_command_line_or_the_server() {
    let rooms = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    for room in rooms.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        if !["main.rs", "lib.rs", "cli", "server"].contains(&&*room) {
            assert_free_of(&room, &["crate::cli", "crate::server", "cli::", "server::Server"]);
        }
    }
    assert_free_of("server", &["crate::cli"]);
}

#[test]
fn every_file_of_tests_is_named_by_a_mod() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let named = |parent: &Path, name: &str| {
        let text = fs::read_to_string(parent).unwrap_or_default();
        text.lines().any(|line| line.trim_start_matches("pub(crate) ") == format!("mod {name};"))
    };
    let mut places = vec![(tests.clone(), tests.join("main.rs"))];
    while let Some((place, parent)) = places.pop() {
        for entry in fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_module = entry.extension().is_some_and(|extension| extension == "rs");
            if entry.join("mod.rs").exists() {
                assert!(named(&parent, &name), "{} is in no mod", entry.display());
                places.push((entry.clone(), entry.join("mod.rs")));
            } else if is_module && entry != parent {
                assert!(named(&parent, &name), "{} is in no mod", entry.display());
            }
        }
    }
}
