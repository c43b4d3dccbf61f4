//! The audit trail, on real files, pipes and disks.

use std::{
    fmt::Write,
    fs,
    io::Read,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use inkpass::{
    audit::{Audit, Decision, Line, OnFailure, Output, Settings, Unavailable},
    clock::UnixMillis,
    telemetry::{AuditMetrics, Metrics},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::disk::SmallDisk;
use crate::helpers::{NOW, log::whole_lines};

mod disk;
mod fate;
mod faults;
mod group;
mod lines;
mod lookup;
mod rotation;
mod stdout;

const RPC: &str = "inkpass.v1.TokenService/IssueToken";

/// A trail, and its metrics.
struct Trail {
    audit: Arc<Audit>,
    metrics: AuditMetrics,
}

impl Trail {
    fn start(path: impl Into<PathBuf>, on_failure: OnFailure) -> Self {
        Self::of(Output::File(path.into()), on_failure)
    }

    fn of(output: Output, on_failure: OnFailure) -> Self {
        let metrics = Metrics::new([]).unwrap().audit().clone();
        let settings = Settings { output, on_failure, salt_file: None };
        Self { audit: Arc::new(Audit::start(&settings, metrics.clone()).unwrap()), metrics }
    }

    /// A line of some hundred bytes that a number tells from others.
    async fn write(&self, caller: &str, number: usize) -> Result<(), Unavailable> {
        write(&self.audit, caller, number).await
    }
}

async fn write(audit: &Audit, caller: &str, number: usize) -> Result<(), Unavailable> {
    let number = number.to_string();
    let padding = "x".repeat(300);
    audit.write(&Line { principal: caller, request_id: &number, uuid: &padding, ..line() }).await
}

const fn line() -> Line<'static> {
    Line::new(UnixMillis::new(NOW).unwrap(), RPC, Decision::Allow)
}

/// Every line of a text, each of which must be whole.
#[track_caller]
fn parse(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "half a line at the end: {:?}", text.lines().last());
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Every line of a file that nobody writes to at this moment.
#[track_caller]
fn read(path: &Path) -> Vec<Value> {
    parse(&fs::read_to_string(path).unwrap())
}

/// Every whole line of a file that a program may be writing to.
#[track_caller]
pub(crate) fn read_so_far(path: &Path) -> Vec<Value> {
    parse(&whole_lines(path))
}

/// A line's caller and number.
fn identity(line: &Value) -> (String, usize) {
    (line["principal"].as_str().unwrap().to_owned(), line["request_id"].as_str().unwrap().parse().unwrap())
}

fn is_marked(line: &Value, mark: &str) -> bool {
    line["mark"] == mark
}

/// Checks that every caller's unmarked lines are complete and in order.
#[track_caller]
fn assert_complete(lines: &[Value], each: &[usize]) {
    let mut next = vec![0; each.len()];
    for line in lines.iter().filter(|line| line["mark"].is_null()) {
        let (caller, number) = identity(line);
        let caller: usize = caller.parse().unwrap();
        assert_eq!(number, next[caller], "the next line of caller {caller}");
        next[caller] += 1;
    }
    assert_eq!(next, each);
}

/// Callers that write line after line, and wait for each. With `OnFailure::Allow` it does not
/// matter how fast the machine is: no line is withdrawn.
struct Load {
    callers: Vec<JoinHandle<usize>>,
    stop: CancellationToken,
}

impl Load {
    fn start(trail: &Trail, callers: usize) -> Self {
        let stop = CancellationToken::new();
        let caller = |caller: usize| {
            let (audit, stop) = (trail.audit.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.is_cancelled() {
                    write(&audit, &caller.to_string(), written).await.unwrap();
                    written += 1;
                }
                written
            })
        };
        Self { callers: (0..callers).map(caller).collect(), stop }
    }

    /// Waits for so many more lines.
    async fn go_on(&self, metrics: &AuditMetrics, lines: u64) {
        let enough = metrics.lines.get() + lines;
        while metrics.lines.get() < enough {
            tokio::task::yield_now().await;
        }
    }

    /// Stops; gives how many lines each caller has written.
    async fn end(self) -> Vec<usize> {
        self.stop.cancel();
        join_all(self.callers).await.into_iter().map(Result::unwrap).collect()
    }
}

/// A pipe that can be opened by its path, with another file description.
struct Pipe {
    reader: std::io::PipeReader,
    writer: std::io::PipeWriter,
}

impl Pipe {
    fn new() -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        Self { reader, writer }
    }

    fn path(&self) -> PathBuf {
        // Of the end that stays open: the number of one that is closed is soon another file's, and the trail would follow it there.
        format!("/proc/self/fd/{}", self.reader.as_raw_fd()).into()
    }

    /// Everything that was written, once the writing ends are closed.
    fn read_to_end(mut self) -> String {
        drop(self.writer);
        let mut text = String::new();
        self.reader.read_to_string(&mut text).unwrap();
        text
    }
}

pub(crate) fn hostile() -> String {
    let mut text = String::new();
    let pieces = [
        "\n",
        "\r\n",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "\u{9b}31m",
        "\u{2028}\u{2029}\u{85}",
        "\u{202e}",
        "\0\u{7f}",
    ];
    for piece in pieces.into_iter().chain(["\"}{\\\"", "é🎨", "\u{feff}\u{fffd}"]).cycle() {
        if text.len() + piece.len() > 8 * 1024 {
            break;
        }
        write!(text, "{piece}").unwrap();
    }
    text
}
