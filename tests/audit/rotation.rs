//! Log rotation while lines are written.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use inkpass::audit::OnFailure;
use serde_json::Value;

use super::{Load, Trail, assert_complete, identity, is_marked, parse, read};
use crate::helpers::place::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_renamed_and_reopened_under_load_loses_nothing() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Allow);
    let load = Load::start(&trail, 16);
    let mut files = Vec::new();
    for number in 1..=10 {
        load.go_on(&trail.metrics, 100).await;
        let rotated = directory.path().join(format!("audit.log.{number}"));
        fs::rename(&path, &rotated).unwrap();
        files.push(rotated);
        load.go_on(&trail.metrics, 100).await;
        trail.audit.reopen();
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    }
    let each = load.end().await;
    trail.audit.close().await.unwrap();
    files.push(path);
    let lines: Vec<_> = files.iter().flat_map(|file| read(file)).collect();
    assert_complete(&lines, &each);
}

#[tokio::test]
async fn a_file_that_cannot_be_reopened_stays_in_use() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    let rotated = directory.path().join("audit.log.1");
    fs::rename(&path, &rotated).unwrap();
    fs::create_dir(&path).unwrap();
    trail.audit.reopen();
    trail.write("0", 1).await.unwrap();
    assert_complete(&read(&rotated), &[2]);
    fs::remove_dir(&path).unwrap();
    trail.audit.reopen();
    trail.write("0", 2).await.unwrap();
    assert_eq!(identity(&read(&path)[0]), ("0".to_owned(), 2));
}

#[tokio::test]
async fn what_was_truncated_is_repeated_and_what_was_renamed_is_not() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    fs::rename(&path, directory.path().join("audit.log.1")).unwrap();
    trail.audit.reopen();
    trail.write("0", 1).await.unwrap();
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    trail.write("0", 2).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines = read(&path);
    let numbers: BTreeSet<_> = lines.iter().map(|line| identity(line).1).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2]), "what was renamed is in the other file");
    let repeated = lines.iter().find(|line| identity(line).1 == 1).unwrap();
    assert!(is_marked(repeated, "again"), "{repeated}");
}

/// The whole lines of a copy, which may end with half a line.
fn whole_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    parse(&text[..text.rfind('\n').map_or(0, |at| at + 1)])
}

/// All lines, marked or not, without duplicates.
fn all_of(files: &[PathBuf]) -> Vec<(String, usize)> {
    let mut all: Vec<_> =
        files.iter().flat_map(|file| whole_lines(file)).map(|line| identity(&line)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_copied_and_truncated_under_load_loses_nothing() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Allow);
    let load = Load::start(&trail, 16);
    let mut files = vec![path.clone()];
    for number in 1..=4 {
        load.go_on(&trail.metrics, 500).await;
        let copy = directory.path().join(format!("audit.log.{number}"));
        fs::copy(&path, &copy).unwrap();
        load.go_on(&trail.metrics, 100).await;
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        files.push(copy);
    }
    // Before the next of many lines, not only when there is nothing else to do.
    let began = Instant::now();
    while !whole_lines(&path).iter().any(|line| is_marked(line, "again")) {
        assert!(began.elapsed() < Duration::from_secs(5), "nothing is repeated under load");
        load.go_on(&trail.metrics, 10).await;
    }
    let expected = load.end().await.into_iter().sum();

    // What the last truncation took is repeated within a second or so.
    let began = Instant::now();
    while all_of(&files).len() < expected && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(all_of(&files).len(), expected);
    let lines: Vec<_> = files.iter().flat_map(|file| whole_lines(file)).collect();
    assert!(lines.iter().any(|line| is_marked(line, "again")));
    let mut unmarked: Vec<_> = lines.iter().filter(|line| line["mark"].is_null()).map(identity).collect();
    let count = unmarked.len();
    unmarked.sort_unstable();
    unmarked.dedup();
    assert_eq!(unmarked.len(), count, "a line that is there twice says so");
    assert!(
        fs::metadata(&path).unwrap().len() > 0 && !fs::read(&path).unwrap().contains(&0),
        "it is not sparse"
    );
}
