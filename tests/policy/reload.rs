//! Fault case 36: a file that is empty, half-written, wrong or gone replaces nothing. And what a
//! reload keeps.

use std::{fs, time::Instant};

use arc_swap::ArcSwap;
use inkpass::{
    methods::{Cost, Rpc},
    policy::{AccessRequest, Denial, MissingRight, Rules, replace},
};

use super::CLASSROOM;
use crate::helpers::place::Place;

const API: &str = "k8s:classroom/api";

struct Files {
    directory: Place,
    rules: ArcSwap<Rules>,
}

impl Files {
    fn new() -> Self {
        let directory = Place::new();
        fs::write(directory.path().join("policy.toml"), CLASSROOM).unwrap();
        let rules = Rules::load(&directory.path().join("policy.toml"), None, None).unwrap();
        Self { directory, rules: ArcSwap::from_pointee(rules) }
    }

    fn reload(&self, content: &[u8]) -> Result<(), Vec<String>> {
        let path = self.directory.path().join("policy.toml");
        fs::write(&path, content).unwrap();
        let reloaded = replace(&self.rules, &path, None);
        reloaded.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    /// Mints for as long as the quota lasts, at one moment.
    fn mint(&self, now: Instant, tokens: u32) -> bool {
        let rules = self.rules.load();
        rules.grants()[0].charge(API, Cost { tokens, ..Cost::default() }, now).is_ok()
    }
}

#[test]
fn a_file_that_is_wrong_replaces_nothing() {
    let files = Files::new();
    let half = &CLASSROOM[..CLASSROOM.len() / 2];
    for (what, content) in [
        ("empty", &b""[..]),
        ("blank", b"\n  \n# nothing\n"),
        ("half-written", half.as_bytes()),
        ("with an unknown key", CLASSROOM.replace("regions =", "region =").as_bytes()),
        ("not UTF-8", b"\xff\xfe"),
        ("all zeros", &[0; 4096]),
        ("endless", &vec![b'#'; 5 * 1024 * 1024]),
    ] {
        let mistakes = files.reload(content).unwrap_err();
        assert!(!mistakes.is_empty(), "{what}");
        let ask = AccessRequest { rpc: Rpc::VerifyToken, project: "default", region: None, mint: None };
        let denial = files.rules.load().decide(API, &ask).unwrap_err();
        assert_eq!(denial, Denial::PolicyDenied(MissingRight::Rpc), "the current rules stay: {what}");
    }
    let path = files.directory.path().join("policy.toml");
    fs::remove_file(&path).unwrap();
    let mistakes = replace(&files.rules, &path, None).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].to_string().contains("policy.toml: cannot be read: "), "{mistakes:?}");
    let mistakes = replace(&files.rules, files.directory.path(), None).unwrap_err();
    assert!(mistakes[0].to_string().ends_with(": is not a file"), "{mistakes:?}");
    assert_eq!(files.rules.load().grants()[0].name(), "classroom");

    files.reload(CLASSROOM.replace("\"classroom\"", "\"seminar\"").as_bytes()).unwrap();
    assert_eq!(files.rules.load().grants()[0].name(), "seminar");
}

#[test]
fn a_reload_keeps_what_was_used_of_a_quota_that_stays_as_it_was() {
    let (files, now) = (Files::new(), Instant::now());
    assert!(files.mint(now, 2000) && !files.mint(now, 1));
    let before = format!("# moved down\n\n{}", CLASSROOM.replace("\"eu\"", "\"sg\""));
    files.reload(before.as_bytes()).unwrap();
    assert!(!files.mint(now, 1), "the same name and quota: it goes on counting");
    files.reload(CLASSROOM.replace("burst = 2000", "burst = 1000").as_bytes()).unwrap();
    assert!(files.mint(now, 1000) && !files.mint(now, 1), "another quota starts fresh");
    files.reload(CLASSROOM.replace("\"classroom\"", "\"seminar\"").as_bytes()).unwrap();
    assert!(files.mint(now, 1), "another grant starts fresh");
}

#[test]
fn a_watch_that_outlives_a_reload_still_counts() {
    let (files, now) = (Files::new(), Instant::now());
    let watch = |files: &Files| {
        files.rules.load().grants()[0].charge(API, Cost { watch: true, ..Cost::default() }, now)
    };
    let places: Vec<_> = (0..10).map(|_| watch(&files).unwrap()).collect();
    files.reload(CLASSROOM.replace("\"eu\"", "\"sg\"").as_bytes()).unwrap();
    assert!(watch(&files).is_err());
    drop(places);
    let _place = watch(&files).unwrap();
}

#[test]
fn decisions_under_reloads_are_never_without_rules() {
    let files = Files::new();
    let other = CLASSROOM.replace("max_ttl = \"24h\"", "max_ttl = \"2h\"");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deciding = scope.spawn(|| {
            let mut decided = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || decided == 0 {
                let ask = AccessRequest {
                    rpc: Rpc::IssueToken,
                    project: "default",
                    region: None,
                    mint: super::mint(inkpass::token::Kind::Room, inkpass::token::Role::Writer, None),
                };
                assert!(files.rules.load().decide(API, &ask).is_ok());
                decided += 1;
            }
        });
        for round in 0..100 {
            let content = [CLASSROOM, "", &other][round % 3];
            assert_eq!(files.reload(content.as_bytes()).is_ok(), !content.is_empty());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        deciding.join().unwrap();
    });
}
