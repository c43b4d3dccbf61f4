//! The program itself: what it prints, and what it exits with.

use std::{
    env::var_os,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::helpers::{canary, cgroup::Cgroup};

mod api_key;
mod calls;
mod emulator;
mod hardening;
mod hostile;
mod policy;
mod serving;
mod stuck;
mod way_out;

/// The program: `INKPASS_PROGRAM`, such as the image's, or else the one that was built for the tests.
pub(crate) fn program() -> PathBuf {
    var_os("INKPASS_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_inkpass").into(), PathBuf::from)
}

pub(crate) fn inkpass(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("INKPASS_CONFIG").env_remove("INKPASS_SERVER");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    output_of(&mut inkpass(arguments))
}

pub(crate) fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    canary::look_through("the standard output", &output.stdout);
    canary::look_through("the standard error", &output.stderr);
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
pub(crate) fn fail(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

/// What the kernel gives a process.
#[derive(Clone, Copy)]
pub(crate) enum Limit<'a> {
    None,
    Cgroup(&'a Cgroup),
    /// So many descriptors, which it cannot have more of.
    Descriptors(u32),
}

/// The same program with so many descriptors.
fn with_descriptors(most: u32, command: &Command) -> Command {
    let mut started = Command::new("prlimit");
    started.arg(format!("--nofile={most}:{most}")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => started.env(name, value),
            None => started.env_remove(name),
        };
    }
    started
}

/// A process that serves until it is dropped, and the line that it printed. Everything that it prints is
/// looked through.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    line: String,
    log: Option<File>,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(inkpass(arguments))
    }

    /// What starts the program.
    pub(crate) fn run(mut command: Command) -> Self {
        let log = tempfile::tempfile().unwrap();
        let kept = log.try_clone().unwrap();
        let mut served = Self::spawned(&mut command, log);
        served.log = Some(kept);
        served
    }

    /// With a limit of the kernel on it. Its log goes to a file of the test.
    pub(crate) fn limited(arguments: &[&str], log: impl Into<Stdio>, limit: Limit<'_>) -> Self {
        let command = inkpass(arguments);
        let mut command = match limit {
            Limit::None => command,
            Limit::Cgroup(group) => group.start(&command),
            Limit::Descriptors(most) => with_descriptors(most, &command),
        };
        Self::spawned(&mut command, log)
    }

    fn spawned(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        for shown in ["environ", "cmdline"] {
            if let Ok(bytes) = fs::read(format!("/proc/{}/{shown}", process.id())) {
                canary::look_through(&format!("its {shown}"), &bytes);
            }
        }
        canary::look_through("its first line", line.as_bytes());
        Self { process, stdout, line: line.trim_end().to_owned(), log: None }
    }

    pub(crate) fn dev() -> Self {
        let any = "127.0.0.1:0";
        Self::start(&["dev", "--listen", any, "--admin-listen", any, "--emulator-listen", any])
    }

    pub(crate) fn part(&self, name: &str) -> String {
        let parts = self.line.split(' ').filter_map(|part| part.split_once('='));
        let found = parts.into_iter().find(|(part, _)| *part == name);
        found.unwrap_or_else(|| panic!("{name} in {:?}", self.line)).1.to_owned()
    }

    pub(crate) fn server(&self) -> String {
        format!("http://{}", self.part("grpc"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // In order, so that it removes its ephemeral keys.
        self.signal("TERM");
        let _ = self.process.wait();
        let (mut printed, mut logged) = (Vec::new(), Vec::new());
        let _ = self.stdout.read_to_end(&mut printed);
        canary::look_through("its standard output", &printed);
        if let Some(log) = &mut self.log {
            let _ = log.rewind().and_then(|()| log.read_to_end(&mut logged));
            canary::look_through("its log", &logged);
        }
    }
}
