//! What an audit line costs a call: by the trail, and by a write of its own.
//!
//! `audit_cost FILE [CALLS]` prints, for 1, 64 and 1,000 callers at once, how long a call takes, how
//! much processor time, and how many calls share a write. The trail also makes its lines, which the
//! others find made.

use std::{
    fs::{File, OpenOptions, read, read_to_string},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use inkpass::{
    audit::{Audit, Decision, Line, OnFailure, Output, Settings},
    clock::UnixMillis,
    telemetry::Metrics,
    token::{Fingerprint, Fingerprinter, Kind, Role},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long the clock ticks that Linux counts processor time by.
const TICK: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("audit_cost FILE [CALLS]")?);
    let calls = arguments.next().map_or(Ok(200_000), |calls| calls.parse())?;
    let fingerprint = Fingerprinter::new(b"a salt of some bytes").of("a token");
    let rendered = render(&line(&[fingerprint])).await?;
    println!("| callers | who writes | a call | processor time | calls a write |\n|---|---|---|---|---|");
    for callers in [1, 64, 1000] {
        let metrics = Metrics::new([])?.audit().clone();
        let settings =
            Settings { output: Output::File(path.clone()), on_failure: OnFailure::Deny, salt_file: None };
        let audit = Arc::new(Audit::start(&settings, metrics.clone())?);
        let cost = measure(callers, calls, {
            let audit = audit.clone();
            move || {
                let audit = audit.clone();
                async move { Ok(audit.write(&line(&[fingerprint])).await?) }
            }
        });
        println!(
            "| {callers} | the trail | {} | {} |",
            cost.await?,
            metrics.lines.get() / metrics.writes.get().max(1)
        );
        audit.close().await?;

        let file = Arc::new((OpenOptions::new().append(true).open(&path)?, rendered.clone()));
        let cost = measure(callers, calls, {
            let file = file.clone();
            move || {
                let file = file.clone();
                async move { tokio::task::spawn_blocking(move || write(&file)).await? }
            }
        });
        println!("| {callers} | each its own, on a thread that may block | {} | 1 |", cost.await?);
        let cost = measure(callers, calls, move || {
            let file = file.clone();
            async move { write(&file) }
        });
        println!("| {callers} | each its own, which may block all others | {} | 1 |", cost.await?);
    }
    Ok(())
}

fn write((file, text): &(File, Vec<u8>)) -> Result<(), Failure> {
    let mut file = file;
    Ok(file.write_all(text)?)
}

/// A line as the trail writes it.
async fn render(line: &Line<'_>) -> Result<Vec<u8>, Failure> {
    let file = tempfile::NamedTempFile::new()?;
    let output = Output::File(file.path().into());
    let audit = Audit::start(&Settings { output, ..Settings::default() }, Metrics::new([])?.audit().clone())?;
    audit.write(line).await?;
    audit.close().await?;
    Ok(read(file.path())?)
}

/// As `IssueToken` writes it.
fn line(fingerprints: &[Fingerprint]) -> Line<'_> {
    Line {
        request_id: "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11",
        trace_id: "0af7651916cd43dd8448eb211c80319c",
        principal: "k8s:classroom/api",
        peer: "10.0.0.7",
        project: "default",
        access_key: "9199ff0b90ee4c65aeea892d2852f69c",
        kind: Some(Kind::Room),
        role: Some(Role::Writer),
        uuid: "4807c9a44613b4060b1c29d25511b8a8",
        grant: "classroom",
        fingerprints,
        ..Line::new(UnixMillis::EPOCH, "inkpass.v1.TokenService/IssueToken", Decision::Allow)
    }
}

/// Lets callers call one after the other; gives what a call took, as two columns.
async fn measure<F, O>(callers: u32, calls: u32, call: F) -> Result<String, Failure>
where
    F: Fn() -> O + Clone + Send + 'static,
    O: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (began, used) = (Instant::now(), processor_time()?);
    let tasks = (0..callers).map(|_| {
        let call = call.clone();
        tokio::spawn(async move {
            for _ in 0..calls / callers {
                call().await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for ended in join_all(tasks).await {
        ended??;
    }
    let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6 / f64::from(calls));
    Ok(format!("{} | {}", micros(began.elapsed()), micros(processor_time()?.saturating_sub(used))))
}

/// What this process has used so far, in its own code and in the kernel's.
fn processor_time() -> Result<Duration, Failure> {
    let stat = read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| {
        fields.get(at).ok_or("no processor time in /proc/self/stat")?.parse::<u32>().map_err(Failure::from)
    };
    Ok(TICK * (ticks(11)? + ticks(12)?))
}
