//! The layout's rules, held against the sources: docs/architecture.md.

use std::{
    collections::BTreeMap,
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
    let text = "use crate::{\n    rpc::{self, Services},\n    // crate::cli\n    server::Parts,\n};\n";
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
    let directories = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    for directory in directories.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        if !["main.rs", "lib.rs", "assembly.rs", "cli", "server"].contains(&&*directory) {
            assert_free_of(&directory, &["crate::cli", "crate::server"]);
        }
    }
    assert_free_of("server", &["crate::cli"]);
}

/// A module's path, such as `["token", "key"]`.
type Module = Vec<String>;

/// The modules of a directory, each with the paths that its file imports or names; its tests are left out.
fn modules(directory: &str) -> BTreeMap<Module, Vec<Module>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |(file, text): (PathBuf, String)| {
        let file = file.strip_prefix(&src).unwrap().with_extension("");
        let module = file.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        (module.collect(), named_paths(text))
    };
    sources(directory).into_iter().map(read).collect()
}

fn named_paths(text: &str) -> Vec<Module> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut paths = Vec::new();
    let mut rest = String::new();
    for statement in lines.collect::<Vec<_>>().join("\n").split_inclusive(';') {
        let (before, tree) = match statement.rsplit_once("use ") {
            // A word of its own, and not the end of another.
            Some((before, tree))
                if !before.ends_with(char::is_alphanumeric) && tree.ends_with(';') && !tree.contains('=') =>
            {
                (before, tree)
            }
            _ => (statement, ""),
        };
        rest.push_str(before);
        expand("", tree.trim_end_matches(';'), &mut paths);
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let words = rest.split(|c: char| !is_part(c));
    paths.extend(words.filter(|word| word.starts_with("super::") || word.starts_with("crate::")).map(split));
    paths
}

fn split(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// Each path of a tree such as `a::{self, b::C as D}`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<Module>) {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let (mut depth, mut start) = (0, 0);
        let group = group.trim_end().strip_suffix('}').unwrap();
        for (at, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == ',' && depth == 0 {
                expand(&format!("{prefix}{path}"), &group[start..at], paths);
                start = at + 1;
            }
        }
        expand(&format!("{prefix}{path}"), &group[start..], paths);
    } else if !tree.is_empty() {
        let path = format!("{prefix}{}", tree.split(" as ").next().unwrap());
        paths.push(split(path.strip_suffix("::self").unwrap_or(&path)));
    }
}

/// The module of this directory that defines what a path names; what a `mod.rs` hands on is its origin's.
fn origin(modules: &BTreeMap<Module, Vec<Module>>, from: &[String], path: &[String]) -> Option<Module> {
    let mut at = from.to_vec();
    let mut names = path;
    while let Some((first, rest)) = names.split_first() {
        match &**first {
            "super" => drop(at.pop()),
            "crate" => at.clear(),
            "self" => {}
            _ => break,
        }
        names = rest;
    }
    let is_relative = names.len() == path.len();
    for (index, name) in names.iter().enumerate() {
        let below = [&*at, std::slice::from_ref(name)].concat();
        if modules.keys().any(|module| module.starts_with(&below)) {
            at = below;
            continue;
        }
        if is_relative && index == 0 {
            return None;
        }
        let handed_on = modules.get(&at)?.iter().find(|path| path.len() > 1 && path.last() == Some(name));
        return handed_on.and_then(|path| origin(modules, &at, path)).or(Some(at));
    }
    modules.contains_key(&at).then_some(at)
}

/// Follows imports from the last module of a way; the modules of a circle, if there is one.
fn circle(imports: &BTreeMap<Module, Vec<Module>>, way: &mut Vec<Module>, done: &mut Vec<Module>) -> bool {
    let last = way.last().unwrap().clone();
    for next in imports[&last].iter().filter(|next| **next != last) {
        if let Some(start) = way.iter().position(|module| module == next) {
            way.drain(..start);
            return true;
        }
        if !done.contains(next) {
            way.push(next.clone());
            if circle(imports, way, done) {
                return true;
            }
        }
    }
    done.extend(way.pop());
    false
}

#[track_caller]
fn assert_no_circle(modules: &BTreeMap<Module, Vec<Module>>) {
    let imports = |(module, paths): (&Module, &Vec<Module>)| {
        let origins = paths.iter().filter_map(|path| origin(modules, module, path));
        (module.clone(), origins.collect::<Vec<_>>())
    };
    let imports: BTreeMap<_, _> = modules.iter().map(imports).collect();
    let mut done = Vec::new();
    for module in imports.keys() {
        let mut way = vec![module.clone()];
        assert!(done.contains(module) || !circle(&imports, &mut way, &mut done), "a circle: {way:?}");
    }
}

#[test]
fn no_import_cycle_within_a_directory() {
    let directories = [
        "audit",
        "caller",
        "cli",
        "client",
        "config",
        "document",
        "emulator",
        "error",
        "idempotency",
        "issuing",
        "keyring",
        "policy",
        "principal",
        "rpc",
        "server",
        "store",
        "telemetry",
        "token",
        "watcher",
        "whiteboard",
    ];
    for directory in directories {
        assert_no_circle(&modules(directory));
    }
}

#[test]
#[should_panic(expected = "a circle")]
fn a_circle_through_a_mod_rs_is_found() {
    let files = [
        ("r", "mod a;\npub(crate) use self::{a::{self, A as B}, b::C};"),
        ("r::a", "use std::fmt;\nuse crate::{r::C, clock};"),
        ("r::b", "fn f(_: &super::a::A) {}"),
    ];
    assert_no_circle(&files.iter().map(|(module, text)| (split(module), named_paths(text))).collect());
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
