//! What keeps a process's memory, and so its keys, to itself: no core dump, nobody who traces it,
//! and no panic that prints what it was about.

use std::{
    io::{self, IsTerminal},
    panic::{Location, PanicHookInfo},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Failure, output::complain};

/// Closes the process. It holds from here on, for every thread; a program that it starts is
/// another.
///
/// # Errors
/// The system refuses; nothing secret may be read then.
pub(super) fn harden() -> Result<(), Failure> {
    std::panic::set_hook(Box::new(report));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    limited.map_err(|error| Failure::Failed(format!("core dumps cannot be switched off: {error}")))?;
    close_memory()
}

/// Also against a core dump to a program, which no limit prevents.
#[cfg(target_os = "linux")]
fn close_memory() -> Result<(), Failure> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    closed.map_err(|error| Failure::Failed(format!("the process's memory cannot be closed: {error}")))
}

#[cfg(not(target_os = "linux"))]
fn close_memory() -> Result<(), Failure> {
    Ok(())
}

/// Where a panic was, and not what it says: a message may hold the value that it is about.
fn report(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(String::new, Location::to_string);
    // The log of a service is one JSON object a line.
    complain(if io::stderr().is_terminal() {
        format!("inkpass: panicked at {location}\n")
    } else {
        format!("{{\"level\":\"ERROR\",\"message\":\"panicked\",\"code.location\":\"{location}\"}}\n")
    });
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that panics.
    const CHILD: &str = "INKPASS_TEST_PANICS";

    #[test]
    fn panics() {
        if std::env::var_os(CHILD).is_some() {
            assert!(harden().is_ok());
            let secret = String::from("a-secret-key");
            panic!("the secret is {secret}");
        }
    }

    #[test]
    fn a_panic_says_where_it_was_and_not_what_about() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cli::hardening::tests::panics", "--nocapture"]).env(CHILD, "1");
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !stderr.contains("secret"), "{stderr}");
        let line: serde_json::Value = serde_json::from_str(stderr.lines().next().unwrap()).unwrap();
        assert!(line["code.location"].as_str().unwrap().contains("hardening.rs:"), "{stderr}");
    }
}
