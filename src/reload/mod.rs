//! Reloads files when they change. Files that cannot be used replace nothing: what was loaded last stays
//! in use.
//!
//! A change is found in two ways. The files' directories are watched, so that Kubernetes' swap of the
//! `..data` symlink in a mounted Secret or `ConfigMap` is seen without delay. Every file is also read at
//! an interval, for where watching is not possible. Only a new content or mode is a change.

mod directories;

use std::{
    fmt::Display,
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch::Receiver,
    task::spawn_blocking,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use self::directories::Directories;
use crate::{
    file::{FileError, OpenFile},
    telemetry::{Metrics, ReloadMetrics},
    token::wiping_stack,
};

/// How often files are read without a change being seen.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// How long there must be no further change before files are read: files that belong together are
/// written one after the other.
const QUIET: Duration = Duration::from_millis(100);

/// After a failure, how long a change of neighbouring files does not retry the same content.
pub const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The longest wait for [`QUIET`].
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(1);

/// The longest file, in bytes.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Something that is loaded from files, and reloaded while it is in use.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// Its name in logs and metrics, such as `api_keys`.
    fn name(&self) -> &'static str;

    /// The files that it is loaded from.
    fn files(&self) -> Vec<PathBuf>;

    /// What is in use, for the log. Never a secret.
    fn describe(&self) -> String {
        String::new()
    }

    /// Loads all its files again, and replaces what was loaded before.
    ///
    /// # Errors
    /// Every mistake, each with its file and never with a secret. What was loaded before stays in use.
    async fn reload(&self) -> Result<(), Vec<String>>;
}

/// Reloads all `targets` when their files change, until `end`. Each is reloaded once at the beginning,
/// because its files may have changed since it was loaded.
///
/// A failure is retried at a change in the directory and at each `interval`, because a file can be
/// missing while it is replaced; with the same content at most every [`RETRY_PAUSE`]. The same failure is
/// logged and counted once. Its metrics are there before it runs.
pub fn run(
    targets: Vec<Arc<dyn Reload>>,
    interval: Duration,
    metrics: &Metrics,
    end: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let mut directories = Directories::new();
    let mut reloaders = Vec::new();
    for target in targets {
        let changes = directories.listen(&target.files());
        // Concurrently, because one may be slow: new keys may be tried upstream.
        reloaders.push(Reloader::new(target, metrics).run(changes, interval));
    }
    async move {
        let all = async { tokio::join!(every(interval, || directories.watch()), join_all(reloaders)) };
        end.run_until_cancelled(all).await;
        end.cancelled().await;
    }
}

/// Does some work now and at every period.
async fn every(period: Duration, mut work: impl FnMut()) {
    let mut ticks = ticks(period);
    loop {
        ticks.tick().await;
        work();
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn until_quiet(changes: &mut Receiver<()>) {
    let quiet = async { while timeout(QUIET, changes.changed()).await.is_ok() {} };
    let _ = timeout(LONGEST_DEBOUNCE, quiet).await;
}

struct Reloader {
    target: Arc<dyn Reload>,
    metrics: ReloadMetrics,
    /// The content that was loaded last, and the result.
    tried: Option<(Content, Result<(), Vec<String>>)>,
    /// When it last failed, unless it has succeeded since.
    failed_at: Option<Instant>,
}

impl Reloader {
    fn new(target: Arc<dyn Reload>, metrics: &Metrics) -> Self {
        Self { metrics: metrics.reload(target.name()), target, tried: None, failed_at: None }
    }

    async fn run(mut self, mut changes: Receiver<()>, period: Duration) {
        let mut ticks = ticks(period);
        let mut retry_at = None;
        loop {
            let retry = async {
                match retry_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            let is_due = tokio::select! {
                _ = ticks.tick() => true,
                () = retry => true,
                // Its sender outlives this loop.
                _ = changes.changed() => {
                    until_quiet(&mut changes).await;
                    false
                }
            };
            retry_at = self.check(is_due).await;
        }
    }

    /// Reloads if the content is new. Gives when to retry, if it is too early. `is_due`: the pause after a
    /// failure is over.
    async fn check(&mut self, is_due: bool) -> Option<Instant> {
        let files = self.target.files();
        let content = spawn_blocking(move || Content::of(&files)).await.ok()?;
        if let Some((tried, result)) = &self.tried
            && *tried == content
        {
            let may_retry_at = self.failed_at.map(|at| at + RETRY_PAUSE).filter(|at| *at > Instant::now());
            match (result, may_retry_at) {
                (Ok(()), _) => return None,
                (Err(_), Some(at)) if !is_due => return Some(at),
                (Err(_), _) => {}
            }
        }
        let before = self.target.describe();
        let result = self.target.reload().await;
        self.metrics.set_failing(result.is_err());
        let was_failing = self.failed_at.is_some();
        self.failed_at = result.is_err().then(Instant::now);
        let (what, is_first) = (self.target.name(), self.tried.is_none());
        let tried = (content, result);
        let in_use = self.target.describe();
        match &tried.1 {
            // It was loaded before the service began.
            Ok(()) if is_first && in_use == before => {}
            Ok(()) => {
                self.metrics.count(true);
                let again = if was_failing { " again, after files that could not be used" } else { "" };
                tracing::info!(what, in_use, before, "changed files are in use{again}");
            }
            Err(_) if self.tried.as_ref() == Some(&tried) => {}
            Err(mistakes) => {
                self.metrics.count(false);
                let mistakes = mistakes.join("; ");
                tracing::error!(what, mistakes, "files cannot be used; last known good ones stay in use");
            }
        }
        self.tried = Some(tried);
        None
    }
}

/// Runs blocking work. A panic's message is dropped, because it may hold a secret.
pub(crate) async fn on_a_thread<T: Send + 'static, E: Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, Vec<E>> + Send + 'static,
) -> Result<T, Vec<String>> {
    let result = spawn_blocking(work).await.map_err(|_| vec!["the reading panicked".to_owned()])?;
    result.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// SHA-256 over some files' contents and modes, or why they cannot be read.
#[derive(PartialEq, Eq)]
pub(crate) struct Content([u8; 32]);

impl Content {
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut all = Sha256::new();
        for file in files {
            match digest(file) {
                Ok(digest) => all.update(digest),
                Err(error) => all.update(error.to_string()),
            }
        }
        Self(all.finalize().into())
    }
}

fn digest(path: &Path) -> Result<[u8; 32], FileError> {
    let file = OpenFile::open(path)?;
    let mode = file.mode().to_le_bytes();
    let content = file.read(LONGEST_FILE)?;
    // A hasher keeps a block of its input, which may be a secret.
    Ok(wiping_stack(|| Sha256::new().chain_update(mode).chain_update(&*content).finalize().into()))
}
