//! Failing outputs: a full disk, a pipe that nobody reads, a slow reader.

use std::{
    fs,
    io::Read,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{future::join_all, join, poll};
use inkpass::audit::{LONGEST_WAIT, OnFailure, Output, Unavailable, Unflushed};
use serde_json::Value;

use super::{Load, Pipe, SmallDisk, Trail, assert_complete, identity, is_marked, parse, read};
use crate::helpers::{
    pipe::{fill, filler},
    place::Place,
};

/// Writes until a line is refused; gives how many were not, and why that one was.
async fn write_until_refused(trail: &Trail) -> (usize, Unavailable) {
    for number in 0..10_000 {
        if let Err(why) = trail.write("0", number).await {
            return (number, why);
        }
    }
    panic!("10,000 lines were taken");
}

/// The numbers of the lines that are neither marked nor repeated by a marked line.
fn standing(lines: &[Value]) -> Vec<usize> {
    let withheld: Vec<_> = lines.iter().filter(|line| is_marked(line, "withheld")).map(identity).collect();
    let unmarked = lines.iter().filter(|line| line["mark"].is_null()).map(identity);
    unmarked.filter(|line| !withheld.contains(line)).map(|(_, number)| number).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_lets_them_pass_once_there_is_space_with_every_line_whole() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.fill();
    let trail = Trail::start(disk.path("audit.log"), OnFailure::Deny);
    let (taken, why) = write_until_refused(&trail).await;
    assert!(taken > 0 && why == Unavailable::Failed(std::io::ErrorKind::StorageFull), "{taken} {why:?}");
    let half = fs::read_to_string(disk.path("audit.log")).unwrap();
    assert!(!half.ends_with('\n'), "the test wants half a line to go on with");
    for number in 0..3 {
        trail.write("full", number).await.unwrap_err();
    }

    disk.empty();
    trail.write("0", taken + 1).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines = read(&disk.path("audit.log"));
    let expected: Vec<_> = (0..taken).chain([taken + 1]).collect();
    assert_eq!(standing(&lines), expected, "what was refused does not stand, what was taken does");
    let late: Vec<_> = lines.iter().filter(|line| is_marked(line, "withheld")).map(identity).collect();
    assert_eq!(
        late,
        [("0".to_owned(), taken)],
        "the half line was completed, and says that it came too late"
    );
    assert_eq!(trail.metrics.failures.get(), 4);
}

#[tokio::test]
async fn half_a_line_on_a_full_disk_is_written_whole_to_the_reopened_file() {
    let Some(disk) = SmallDisk::mount() else { return };
    let other_disk = Place::new();
    let path = disk.path("audit.log");
    disk.fill();
    std::os::unix::fs::symlink(disk.path("full.log"), &path).unwrap();
    let trail = Trail::start(&path, OnFailure::Deny);
    let (taken, _) = write_until_refused(&trail).await;

    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(other_disk.path().join("roomy.log"), &path).unwrap();
    trail.audit.reopen();
    trail.write("0", taken + 1).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines = read(&other_disk.path().join("roomy.log"));
    assert_eq!(standing(&lines), [taken + 1]);
    let refused =
        lines.iter().filter(|line| identity(line).1 == taken).map(|line| is_marked(line, "withheld"));
    assert_eq!(refused.collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_line_of_what_has_happened_is_never_marked_as_withheld() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.fill();
    let path = disk.path("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    while trail.metrics.failures.get() == 0 {
        trail.audit.note(&super::line()).await;
    }
    let half = fs::read_to_string(&path).unwrap();
    assert!(!half.ends_with('\n'), "the test wants half a line to go on with");
    disk.empty();
    trail.audit.note(&super::line()).await;
    trail.audit.close().await.unwrap();
    assert!(read(&path).iter().all(|line| line["mark"].is_null()), "the half line stands");
}

#[tokio::test]
async fn with_allow_calls_go_on_with_a_full_disk_and_each_failure_is_counted() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.fill();
    let path = disk.path("audit.log");
    let trail = Trail::start(&path, OnFailure::Allow);
    for number in 0..60 {
        trail.write("0", number).await.unwrap();
    }
    let failures = trail.metrics.failures.get();
    assert!((30..60).contains(&failures), "{failures}");
    disk.empty();
    trail.write("0", 60).await.unwrap();
    trail.audit.close().await.unwrap();
    let lines = read(&path);
    assert!(lines.iter().all(|line| line["mark"].is_null()), "nothing was withheld");
    assert_complete(&lines, &[61]);
}

#[tokio::test]
async fn the_end_does_not_wait_for_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.fill();
    let trail = Trail::start(disk.path("audit.log"), OnFailure::Deny);
    write_until_refused(&trail).await;
    let began = Instant::now();
    trail.audit.close().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_refuses_calls_in_time_and_stops_nothing_else() {
    let mut pipe = Pipe::new();
    let trail = Trail::start(pipe.path(), OnFailure::Deny);
    let ticks = Arc::new(AtomicUsize::new(0));
    let other_work = tokio::spawn({
        let ticks = ticks.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let (taken, why) = write_until_refused(&trail).await;
    assert!(taken > 64 && why == Unavailable::TimedOut, "{taken} {why:?}");
    let began = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let audit = trail.audit.clone();
        calls.spawn(async move { super::write(&audit, "blocked", number).await });
    }
    let refused = calls.join_all().await;
    let waited = began.elapsed();
    assert!(refused.iter().all(|result| *result == Err(Unavailable::TimedOut)), "{refused:?}");
    assert!((Duration::from_millis(100)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    assert!(ticks.load(Ordering::Relaxed) > 20, "everything else waited for the pipe");
    other_work.abort();

    // A reader comes.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        drop(pipe.writer);
        pipe.reader.read_to_string(&mut text).unwrap();
        text
    });
    // The first that fits again may still be late: the pipe is drained meanwhile.
    let mut next = taken + 1;
    while trail.write("0", next).await.is_err() {
        next += 1;
    }
    trail.audit.close().await.unwrap();
    let lines = parse(&reader.join().unwrap());
    assert!(standing(&lines).starts_with(&(0..taken).collect::<Vec<_>>()), "what was taken stands");
    assert_eq!(standing(&lines).last(), Some(&next));
    let blocked = lines.iter().filter(|line| identity(line).0 == "blocked").count();
    assert_eq!(blocked, 0, "what was refused while nothing of it was out is withdrawn");
}

/// Whether a call passes that waits for a full pipe, while this process stands still for longer than a sink may take,
/// and the pipe is read before it goes on.
async fn passes_after_a_standstill() -> bool {
    let mut pipe = Pipe::new();
    let trail = Trail::start(pipe.path(), OnFailure::Deny);
    let mut filler = filler(&pipe.writer);
    fill(&mut filler);
    let mut call = Box::pin(trail.write("0", 0));
    // It gives way, and then it waits for the pipe.
    for _ in 0..2 {
        assert!(poll!(&mut call).is_pending());
    }
    std::thread::sleep(3 * LONGEST_WAIT);
    drop((pipe.writer, filler));
    let reader = std::thread::spawn(move || pipe.reader.read_to_end(&mut Vec::new()));
    let passed = call.await.is_ok();
    trail.audit.close().await.unwrap();
    drop(trail);
    reader.join().unwrap().unwrap();
    passed
}

#[tokio::test]
async fn time_in_which_nothing_ran_is_not_time_that_the_sink_took() {
    let mut passed = 0;
    for _ in 0..5 {
        passed += u32::from(passes_after_a_standstill().await);
    }
    // Now and then, on a busy machine, the thread that writes gets no time to do so.
    assert!(passed >= 3, "{passed} of 5 calls passed: the standstill counted as the sink's");
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_reader() {
    // Lines of refused calls are withdrawn, except half a line; lines of calls that went on are left.
    for (on_failure, left) in [(OnFailure::Deny, 0..=1), (OnFailure::Allow, 51..=51)] {
        let pipe = Pipe::new();
        let trail = Trail::start(pipe.path(), on_failure);
        while trail.metrics.failures.get() == 0 {
            let _ = trail.write("0", 0).await;
        }
        let waiting = join_all((0..50).map(|number| trail.write("waits", number)));
        let began = Instant::now();
        let (_, result) = join!(waiting, trail.audit.close());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let lines = result.map_or_else(|unflushed| unflushed, |()| Unflushed::Lines(0));
        let Unflushed::Lines(lines) = lines else { panic!("{lines}") };
        assert!(left.contains(&lines), "{lines} lines are left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_slow_reader_every_line_arrives_whole_and_in_order() {
    let mut pipe = Pipe::new();
    let trail = Trail::start(pipe.path(), OnFailure::Allow);
    let is_slow = Arc::new(AtomicBool::new(true));
    let stays_slow = is_slow.clone();
    let reader = std::thread::spawn(move || {
        drop(pipe.writer);
        let (mut text, mut piece) = (Vec::new(), [0; 4000]);
        loop {
            match pipe.reader.read(&mut piece).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                length => text.extend_from_slice(&piece[..length]),
            }
            if stays_slow.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let load = Load::start(&trail, 16);
    load.go_on(&trail.metrics, 1000).await;
    let each = load.end().await;
    // What waits has a second to go out at the end.
    is_slow.store(false, Ordering::Relaxed);
    trail.audit.close().await.unwrap();
    assert_complete(&parse(&reader.join().unwrap()), &each);
}

#[tokio::test]
async fn a_call_that_leaves_does_not_take_its_line_with_it() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    for number in 0..50 {
        let mut call = Box::pin(trail.write("0", number));
        let _ = futures_util::poll!(&mut call);
    }
    trail.audit.close().await.unwrap();
    assert_complete(&read(&path), &[50]);
}

#[test]
fn an_output_that_cannot_be_opened_is_an_error_at_the_start() {
    let metrics = || inkpass::telemetry::Metrics::new([]).unwrap().audit().clone();
    for path in ["/nowhere/audit.log", "/tmp"] {
        let output = Output::File(Path::new(path).into());
        let settings = inkpass::audit::Settings { output, ..Default::default() };
        assert!(inkpass::audit::Audit::start(&settings, metrics()).is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_line_of_what_has_happened_is_written_as_soon_as_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    disk.fill_up();
    let uuids: Vec<_> = (0..50).map(|number| format!("{number:0>30}")).collect();
    for uuid in &uuids {
        trail.audit.note(&inkpass::audit::Line { uuid, ..super::line() }).await;
    }
    assert_eq!(trail.metrics.failures.get(), 50);
    disk.empty();
    trail.audit.note(&super::line()).await;
    trail.audit.close().await.unwrap();
    let lines = read(&path);
    let told: Vec<_> = lines.iter().filter_map(|line| line["uuid"].as_str()).collect();
    assert_eq!(told, uuids);
}
