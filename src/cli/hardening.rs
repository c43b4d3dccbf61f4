//! Protects the process's memory, and so its keys: no core dumps, no ptrace, and panics that print no
//! values.

use std::{
    io::{self, IsTerminal},
    panic::{Location, PanicHookInfo},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{failure::Failure, output::print_error};

/// Hardens the process, for all threads; not for programs that it starts.
///
/// # Errors
/// The system refuses: then no secret may be read.
pub(super) fn harden() -> Result<(), Failure> {
    std::panic::set_hook(Box::new(report));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    limited.map_err(|error| Failure::Failed(format!("core dumps cannot be switched off: {error}")))?;
    close_memory()
}

/// Also prevents core dumps that are piped to a program, which no limit does.
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

/// Reports a panic's location without its message, which may hold a secret.
fn report(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(String::new, Location::to_string);
    // The log of a service is one JSON object a line.
    print_error(if io::stderr().is_terminal() {
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
