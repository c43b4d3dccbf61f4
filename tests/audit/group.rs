//! Group writes: the lines of concurrent calls, and their order.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
};

use futures_util::{future::join_all, poll};
use inkpass::audit::{OnFailure, Unavailable};

use super::{Load, Pipe, Trail, assert_complete, parse, read};
use crate::helpers::{place::Place, until};

#[tokio::test]
async fn a_line_is_in_the_file_before_its_call_goes_on() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    for number in 0..100 {
        trail.write("0", number).await.unwrap();
        assert_complete(&read(&path), &[number + 1]);
    }
    assert_eq!((trail.metrics.lines.get(), trail.metrics.failures.get()), (100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_line_of_a_thousand_callers_is_lost_torn_or_out_of_order() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Allow);
    let load = Load::start(&trail, 1000);
    load.go_on(&trail.metrics, 20_000).await;
    // How many share a write depends on who runs when. The last line of each caller may be a write of its own.
    until(async || (trail.metrics.writes.get() + 1000) * 2 < trail.metrics.lines.get()).await;
    let each = load.end().await;
    trail.audit.close().await.unwrap();
    assert_complete(&read(&path), &each);
    let (lines, writes) = (trail.metrics.lines.get(), trail.metrics.writes.get());
    assert!(writes * 2 < lines, "{lines} lines in {writes} writes");
}

#[tokio::test]
async fn lines_that_wait_together_go_out_together() {
    let mut pipe = Pipe::new();
    let mut all_that_fits = vec![0; 64 * 1024];
    pipe.writer.write_all(&all_that_fits).unwrap();
    let trail = Trail::start(pipe.path(), OnFailure::Allow);
    let callers: Vec<_> = (0..64).map(|caller| caller.to_string()).collect();
    let mut calls = join_all(callers.iter().map(|caller| trail.write(caller, 0)));
    assert!(poll!(&mut calls).is_pending());
    pipe.reader.read_exact(&mut all_that_fits).unwrap();
    calls.await.into_iter().for_each(Result::unwrap);
    let writes = trail.metrics.writes.get();
    assert!(writes <= 8, "64 lines in {writes} writes");
    trail.audit.close().await.unwrap();
    assert_complete(&parse(&pipe.read_to_end()), &[1; 64]);
}

#[tokio::test]
async fn lines_of_one_caller_keep_their_order_even_if_it_waits_for_none() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    join_all((0..500).map(|number| trail.write("0", number))).await.into_iter().for_each(Result::unwrap);
    assert_complete(&read(&path), &[500]);
}

#[tokio::test]
async fn queued_lines_are_written_at_the_close_and_later_ones_are_refused() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    let mut calls: Vec<_> = (0..100).map(|number| Box::pin(trail.write("0", number))).collect();
    for call in &mut calls {
        // A call that has been answered already is as good.
        let _ = poll!(call);
    }
    drop(calls);
    trail.audit.close().await.unwrap();
    trail.audit.ended().await;
    assert_complete(&read(&path), &[100]);
    assert_eq!(trail.write("0", 100).await, Err(Unavailable::Ended));
    assert_eq!(trail.audit.close().await, Ok(()), "a second time changes nothing");
}

#[tokio::test]
async fn a_new_file_is_open_to_its_group_at_most_and_an_existing_one_is_appended_to() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    for number in 0..2 {
        let trail = Trail::start(&path, OnFailure::Deny);
        trail.write("0", number).await.unwrap();
        trail.audit.close().await.unwrap();
    }
    assert_complete(&read(&path), &[2]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
}

#[tokio::test]
async fn half_a_line_that_a_killed_process_left_is_not_continued() {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    fs::File::create(&path).unwrap().write_all(b"{\"time\":\"20").unwrap();
    let trail = Trail::start(&path, OnFailure::Deny);
    trail.write("0", 0).await.unwrap();
    trail.write("0", 1).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let (half, rest) = text.split_once('\n').unwrap();
    assert_eq!(half, "{\"time\":\"20");
    assert_complete(&parse(rest), &[2]);
}
