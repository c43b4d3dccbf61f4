//! The layout's rules, held against the sources: docs/architecture.md.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(place: &str) -> Vec<(PathBuf, String)> {
    files(&Path::new("src").join(place))
}

fn files(place: &Path) -> Vec<(PathBuf, String)> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
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

/// The code without comments, which may name anything, and without white space; beneath it each
/// name of a grouped import such as `use crate::{server::Parts}` in full.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut code: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let groups: Vec<_> =
        code.split("usecrate::{").skip(1).map(|group| group.split(';').next().unwrap()).collect();
    let mut names = String::new();
    for group in groups {
        names.push_str("\ncrate::");
        let mut depth = 0;
        for c in group.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            match c {
                ',' if depth == 0 => names.push_str("\ncrate::"),
                c => names.push(c),
            }
        }
    }
    code.push_str(&names);
    code
}

#[track_caller]
fn assert_free_of(place: &str, forbidden: &[&str]) {
    for (path, text) in sources(place) {
        let code = code(&text);
        for name in forbidden {
            assert!(!code.contains(name), "{} names {name}", path.display());
        }
    }
}

#[test]
fn grouped_imports_are_read_as_single_ones() {
    let text = "use crate::{\n    rpc::{self, House},\n    // crate::cli\n    server::Parts,\n};\n";
    let code = code(text);
    assert!(code.contains("crate::server::Parts") && !code.contains("crate::cli"), "{code}");
}

#[test]
fn every_rpc_has_a_file_of_tests_and_is_counted() {
    let pool = prost_reflect::DescriptorPool::decode(inkpass::proto::DESCRIPTORS).unwrap();
    let methods: Vec<_> = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert_eq!(methods.len(), 19);
    for method in methods {
        let snake = method.name().chars().fold(String::new(), |snake, c| match c {
            'A'..='Z' if snake.is_empty() => c.to_lowercase().collect(),
            'A'..='Z' => snake + "_" + &c.to_lowercase().to_string(),
            _ => snake + &c.to_string(),
        });
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rpc/{snake}.rs"));
        assert!(file.exists(), "{} has no {}", method.full_name(), file.display());
        let path = format!("{}/{}", method.parent_service().full_name(), method.name());
        assert!(inkpass::methods::all_methods().any(|method| method == path), "{path} is not counted");
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
        if !["main.rs", "lib.rs", "assembly.rs", "cli", "server"].contains(&&*room) {
            assert_free_of(&room, &["crate::cli", "crate::server"]);
        }
    }
    assert_free_of("server", &["crate::cli"]);
}

/// Else a secret key in it could go unnoticed: `tests/helpers/canary.rs`.
#[test]
fn what_tests_leave_and_programs_print_is_looked_through() {
    let only = [
        ("tempfile::", &["helpers/place.rs", "command_line/mod.rs"][..]),
        ("CARGO_BIN_EXE", &["command_line/mod.rs"]),
        ("inkpass(", &["command_line/", "canary/mod.rs"]),
    ];
    for (path, text) in files(Path::new("tests")) {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        for (name, places) in only.iter().filter(|_| is_rust && !path.ends_with("architecture.rs")) {
            let is_there = places.iter().any(|place| path.to_str().unwrap().contains(place));
            assert!(is_there || !code(&text).contains(name), "{} names {name}", path.display());
        }
    }
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
