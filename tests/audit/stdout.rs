//! Lines on the standard output of another process.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use inkpass::audit::{OnFailure, Output};

use super::{Trail, assert_complete, identity, parse};

/// Set in the process that the tests start.
const CHILD: &str = "INKPASS_TEST_AUDIT_CHILD";

/// What that process does: it writes so many lines, or until one is refused.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "it tells the process from the tests' own")]
async fn child() {
    let Ok(most) = std::env::var(CHILD) else { return };
    let trail = Trail::of(Output::Stdout, OnFailure::Deny);
    for number in 0..most.parse().unwrap() {
        if let Err(why) = trail.write("0", number).await {
            eprintln!("refused {number}: {why}");
            break;
        }
    }
    eprintln!("closed: {:?}", trail.audit.close().await);
    std::process::exit(7);
}

fn start(most: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "audit::stdout::child", "--nocapture"]).env(CHILD, most.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a process printed of the trail; the test harness's own lines are no objects.
fn audit_lines(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.starts_with('{')).collect()
}

#[test]
fn lines_go_to_standard_output_whole_and_in_order() {
    let output = start(1000).wait_with_output().unwrap();
    let lines = parse(&audit_lines(&String::from_utf8(output.stdout).unwrap()));
    assert_complete(&lines, &[1000]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("closed: Ok"));
}

#[test]
fn standard_output_that_nobody_reads_blocks_neither_the_process_nor_its_end() {
    let mut child = start(100_000);
    let began = Instant::now();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("refused") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0);
    }
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("closed: Ok(())"), "{rest}");

    // What the pipe held by then.
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let whole = parse(&audit_lines(&text[..=text.rfind('\n').unwrap()]));
    let refused: usize = line.split([' ', ':']).nth(1).unwrap().parse().unwrap();
    assert_eq!(
        whole.iter().map(|line| identity(line).1).collect::<Vec<_>>(),
        (0..refused).collect::<Vec<_>>()
    );
}

#[test]
fn the_pipe_of_standard_output_stays_blocking_for_other_processes() {
    let (reader, writer) = std::io::pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "audit::stdout::child", "--nocapture"]).env(CHILD, "10");
    let mut child = command.stdout(Stdio::from(writer)).stderr(Stdio::null()).spawn().unwrap();
    child.wait().unwrap();
    let flags =
        std::fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&shared)));
    let flags = flags.unwrap();
    let octal = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_eq!(u32::from_str_radix(octal, 8).unwrap() & 0o4000, 0, "O_NONBLOCK is set: {octal}");
    drop(reader);
}
