//! Tests that cannot run everywhere say so, also where they pass. In CI they fail for want of a program: .ci/prepare
//! installs every one.

use std::{
    env::var_os,
    io::{ErrorKind, Write, stderr},
    process::Command,
};

/// This machine does not let it run, and no program would change that.
pub(crate) fn not_possible(why: &str) {
    // Directly, because a passing test's output is not shown.
    let _ = writeln!(stderr(), "skipped: {why}");
}

/// A program is missing that CI installs, so there it is an error.
#[track_caller]
pub(crate) fn not_installed(program: &str) {
    assert!(var_os("CI").is_none(), "CI installs {program}");
    not_possible(&format!("there is no {program}"));
}

/// Runs a program that the machine may lack or forbid. False, with the reason printed, where it does not succeed.
#[track_caller]
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            not_possible(&format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()));
            false
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            not_installed(program);
            false
        }
        Err(error) => panic!("{program}: {error}"),
    }
}
