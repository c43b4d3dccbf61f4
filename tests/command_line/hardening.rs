//! What of a running process can be seen from outside: row 43 of the fault cases.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use super::program;
use crate::helpers::{
    place::Place,
    skipped::{not_installed, not_possible},
};

/// A user and group with no rights to anything.
const NOBODY: &str = "65534";

/// A directory of everybody's with a copy of the program in it.
struct Stage {
    directory: Place,
}

impl Stage {
    fn new() -> Self {
        let directory = Place::new();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy(program(), directory.path().join("inkpass")).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts a shell's command line here, where core dumps would be made; waits for its first line.
    fn start(&self, prefix: &[&str], command: &str) -> Running {
        let shell = format!("ulimit -c unlimited; exec {command}");
        let mut arguments = prefix.to_vec();
        arguments.extend(["sh", "-c", &shell]);
        let mut process = Command::new(arguments[0]);
        process.args(&arguments[1..]).current_dir(self.path()).env("TMPDIR", self.path());
        let mut process = process.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        process.stdout = Some(stdout.into_inner());
        Running(process)
    }

    fn dev(&self, prefix: &[&str]) -> Running {
        let any = "127.0.0.1:0";
        self.start(
            prefix,
            &format!("./inkpass dev --listen {any} --admin-listen {any} --emulator-listen {any}"),
        )
    }

    /// A process that nothing was done to.
    fn open(&self, prefix: &[&str]) -> Running {
        self.start(prefix, "sh -c 'echo ready; exec sleep 100'")
    }

    fn core_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("core")).collect()
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Too long to be looked through like what a test writes.
        let _ = fs::remove_file(self.path().join("inkpass"));
    }
}

fn end(mut running: Running, signal: &str) -> ExitStatus {
    let process = &mut running.0;
    Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status().unwrap();
    if signal == "SEGV" {
        // Rust's own handler, which looks for a stack overflow, lets the first one that is none pass.
        while process.try_wait().unwrap().is_none() {
            Command::new("kill")
                .args(["-SEGV", &process.id().to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
    }
    process.wait().unwrap()
}

#[test]
fn a_process_that_is_aborted_leaves_no_core_dump() {
    let stage = Stage::new();
    for signal in ["ABRT", "SEGV"] {
        let dev = stage.dev(&["env"]);
        let limits = fs::read_to_string(format!("/proc/{}/limits", dev.0.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
        let status = end(dev, signal);
        assert!(status.signal().is_some() && !status.core_dumped(), "{signal}: {status}");
        assert_eq!(stage.core_files(), [] as [PathBuf; 0], "{signal}");
    }
    // Where a core dump can be made at all, the test could have failed.
    if !end(stage.open(&["env"]), "ABRT").core_dumped() {
        not_possible("in part: no process dumps core on this machine");
    }
}

/// What happens if a user opens a file of a process.
fn open_as_nobody(process: &Running, file: &str) -> bool {
    let path = format!("/proc/{}/{file}", process.0.id());
    let shell = format!("exec 3<{path}");
    let mut command = as_nobody();
    command.extend(["sh", "-c", &shell]);
    Command::new(command[0]).args(&command[1..]).stderr(Stdio::null()).status().unwrap().success()
}

fn as_nobody() -> Vec<&'static str> {
    vec!["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
}

#[test]
fn its_memory_and_environment_are_closed_to_its_own_user() {
    let Ok(change_of_user) = Command::new("setpriv").args(&as_nobody()[1..]).arg("true").output() else {
        not_installed("setpriv (package util-linux)");
        return;
    };
    if !change_of_user.status.success() {
        not_possible("only root runs a process as another user");
        return;
    }
    let stage = Stage::new();
    let open = stage.open(&as_nobody());
    let control: Vec<_> = ["mem", "environ"].map(|file| open_as_nobody(&open, file)).to_vec();
    end(open, "KILL");
    if control != [true, true] {
        not_possible(&format!("in part: this machine closes every process's memory: {control:?}"));
    }

    let dev = stage.dev(&as_nobody());
    for file in ["mem", "environ", "maps", "auxv"] {
        assert!(!open_as_nobody(&dev, file), "{file}");
    }
    assert!(open_as_nobody(&dev, "status"), "the process is there");
    assert!(end(dev, "TERM").success());
}
