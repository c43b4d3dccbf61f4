//! A file that goes away while it is written: fault case 60.

use std::{
    fs::{self, OpenOptions},
    io::Read,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use inkpass::{audit::OnFailure, proto::Role};
use rustix::fs::OFlags;
use serde_json::Value;

use super::{Trail, identity, is_marked, read};
use crate::{
    decisions::{POLICY, issue, program::Program, room, until},
    helpers::place::Place,
};

/// Calls until this is so; gives how many calls were made and refused.
async fn calls_until(trail: &Trail, from: usize, is_true: impl Fn() -> bool) -> (usize, usize) {
    let (mut number, mut refused, began) = (from, 0, Instant::now());
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(5), "it never became true");
        refused += usize::from(trail.write("0", number).await.is_err());
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (number, refused)
}

fn numbers(lines: &[Value]) -> Vec<usize> {
    lines.iter().map(|line| identity(line).1).collect()
}

#[tokio::test]
async fn a_file_that_is_removed_is_made_again_with_what_may_be_lost() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    let began = Instant::now();
    fs::remove_file(&path).unwrap();
    let (number, refused) = calls_until(&trail, 1, || path.exists()).await;
    assert!(refused == 0 && began.elapsed() < Duration::from_secs(3), "{refused} {:?}", began.elapsed());
    trail.write("0", number).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines = read(&path);
    let (mut again, new): (Vec<_>, Vec<_>) = lines.iter().cloned().partition(|line| is_marked(line, "again"));
    assert!(!again.is_empty());
    again.extend(new);
    let mut all = numbers(&again);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (all[0]..=number).collect::<Vec<_>>(), "nothing is missing");
    assert!(all[0] <= 1, "what was written since the file was looked at: {}", all[0]);
    assert_eq!(trail.metrics.files_lost.get(), 1);
}

#[tokio::test]
async fn a_file_that_is_replaced_is_followed_and_one_that_is_renamed_has_lost_nothing() {
    let directory = Place::new();
    let (path, renamed) = (directory.path().join("audit.log"), directory.path().join("audit.log.1"));
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    // No signal tells of it.
    fs::rename(&path, &renamed).unwrap();
    let (number, refused) = calls_until(&trail, 1, || path.exists()).await;
    assert_eq!(refused, 0);
    trail.write("0", number).await.unwrap();
    trail.audit.close().await.unwrap();
    let all = [read(&renamed), read(&path)].concat();
    assert!(all.iter().all(|line| line["mark"].is_null()), "nothing is repeated");
    assert_eq!(numbers(&all), (0..=number).collect::<Vec<_>>());
    assert_eq!(trail.metrics.files_lost.get(), 0);
}

#[tokio::test]
async fn a_pipe_that_its_reader_makes_anew_is_followed_and_so_is_a_file_in_place_of_a_device() {
    let directory = Place::new();
    let (path, anew) = (directory.path().join("audit.log"), directory.path().join("anew"));
    let make = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap()
    };
    let _old = make(&path);
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    let mut reader = make(&anew);
    fs::rename(&anew, &path).unwrap();
    let has_come = || matches!((&reader).read(&mut [0]), Ok(1));
    // Some may be refused, because nobody reads the old one.
    let (number, _) = calls_until(&trail, 1, has_come).await;
    let mut rest = Vec::new();
    // It ends with "would block", because the writer is there.
    let _ = reader.read_to_end(&mut rest);
    assert!(number > 1 && rest.ends_with(b"\n"));

    symlink("/dev/full", &anew).unwrap();
    fs::rename(&anew, &path).unwrap();
    let (number, _) = calls_until(&trail, number, || trail.audit.refuses()).await;
    fs::write(&anew, "").unwrap();
    fs::rename(&anew, &path).unwrap();
    let (number, _) = calls_until(&trail, number, || !trail.audit.refuses()).await;
    trail.write("0", number).await.unwrap();
    trail.audit.close().await.unwrap();
    assert_eq!(numbers(&read(&path)).last(), Some(&number));
}

#[tokio::test]
async fn a_file_that_cannot_be_made_again_refuses_calls_until_it_can() {
    let directory = Place::new();
    let (inner, away) = (directory.path().join("logs"), directory.path().join("away"));
    fs::create_dir(&inner).unwrap();
    let path = inner.join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::rename(&inner, &away).unwrap();
    let (number, _) = calls_until(&trail, 1, || trail.audit.refuses()).await;
    trail.write("0", number).await.unwrap_err();
    // It is tried again without a call.
    fs::rename(&away, &inner).unwrap();
    let began = Instant::now();
    while trail.audit.refuses() {
        assert!(began.elapsed() < Duration::from_secs(5), "it is never tried again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    trail.write("0", number + 1).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines: Vec<_> = read(&path).into_iter().filter(|line| !is_marked(line, "resumed")).collect();
    assert!(lines.iter().any(|line| is_marked(line, "again")), "what was lost is there again");
    assert_eq!(numbers(&lines).last(), Some(&(number + 1)));
}

#[tokio::test]
async fn a_file_whose_path_nobody_can_look_at_stays_in_use_and_that_is_counted() {
    let directory = Place::new();
    let (inner, away) = (directory.path().join("logs"), directory.path().join("away"));
    fs::create_dir(&inner).unwrap();
    let path = inner.join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    // Of a directory that is closed to it this process would see nothing if it were root's.
    fs::rename(&inner, &away).unwrap();
    fs::write(&inner, "").unwrap();
    let (number, refused) = calls_until(&trail, 1, || trail.metrics.files_unreachable.get() == 1).await;
    fs::remove_file(&inner).unwrap();
    fs::rename(&away, &inner).unwrap();
    trail.write("0", number).await.unwrap();
    trail.audit.close().await.unwrap();
    assert_eq!((refused, trail.metrics.files_unreachable.get(), trail.metrics.files_lost.get()), (0, 1, 0));
    assert_eq!(numbers(&read(&path)), (0..=number).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_something_else_was_put_in_place_of_is_logged_once_until_it_is_mended() {
    let program = Program::start(POLICY, "").await;
    let (path, away) = (program.path("audit.log"), program.path("audit.log.1"));
    let teacher = program.client("key:teacher").await;
    fs::rename(&path, &away).unwrap();
    fs::create_dir(&path).unwrap();
    until("it is seen", async || program.logged("cannot be reopened") > 0).await;
    let before = read(&away).len();
    for _ in 0..6 {
        issue(&teacher, room("r", Role::Writer)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(read(&away).len(), before + 6, "lines go on to the old one");
    assert_eq!(program.logged("cannot be reopened"), 1, "it is looked at every second");
    fs::remove_dir(&path).unwrap();
    until("its end is seen", async || program.logged("the audit file is reopened") == 1).await;
    assert!(path.is_file());
}
