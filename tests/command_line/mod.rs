//! The program itself: what it prints, and what it exits with.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

mod api_key;
mod calls;
pub(crate) mod hardening;
mod hostile;
mod policy;
mod serving;

pub(crate) fn inkpass(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inkpass"));
    command.args(arguments).env_remove("INKPASS_CONFIG").env_remove("INKPASS_SERVER");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    inkpass(arguments).output().unwrap()
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

/// A process that serves until it is dropped, and the line that it printed.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    line: String,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::logging(arguments, Stdio::null())
    }

    /// Its log goes there.
    pub(crate) fn logging(arguments: &[&str], log: impl Into<Stdio>) -> Self {
        let mut process = inkpass(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self { process, stdout, line: line.trim_end().to_owned() }
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
        // In order, so that it removes its throw-away keys.
        self.signal("TERM");
        let _ = self.process.wait();
    }
}
