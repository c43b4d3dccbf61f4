//! Reads files anew when they change, and keeps what was read before where they cannot be used.
//!
//! A changed file is found in two ways: its directory is watched, so that Kubernetes' swap of the
//! `..data` symlink in a mounted Secret or `ConfigMap` is seen at once, and every file is read from
//! time to time, so that nothing is missed where watching is not possible. Either way only its
//! content and its mode count.

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

/// How often files are read whether or not a change was seen.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// How long nothing may change before files are read: those that belong together are written one
/// after the other.
const QUIET: Duration = Duration::from_millis(100);

/// How long after a failure the same content is not tried again for a change beside it.
pub const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long changes are waited out at most.
const LONGEST_UNREST: Duration = Duration::from_secs(1);

/// What of a file is looked at; no file of ours is longer.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Something that is made of files, and can be made anew from them while it is in use.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// What it is, in logs and metrics, such as `api_keys`.
    fn name(&self) -> &'static str;

    /// The files that it is made of.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads all its files, and puts what they say in the place of what they said before.
    ///
    /// # Errors
    /// Every mistake, each with its file and never with a secret; what was there before stays.
    async fn reload(&self) -> Result<(), Vec<String>>;
}

/// Keeps everything as its files are, until `end`. What changed since the parts were first read,
/// before this began, is not missed: each is read once at the beginning.
///
/// What failed is tried again at a change in its directory and at each `interval`, because a file can
/// be gone in the moment of reading; as long as its content is the same, not more often than every
/// [`RETRY_PAUSE`]. It is logged and counted again only if something is new.
pub async fn run(
    parts: Vec<Arc<dyn Reload>>,
    interval: Duration,
    metrics: Arc<Metrics>,
    end: CancellationToken,
) {
    let mut directories = Directories::new();
    let mut kept = Vec::new();
    for part in parts {
        let changes = directories.listen(&part.files());
        // Each by itself: what is slow, such as keys that are tried out, delays no other.
        kept.push(Part::new(part, &metrics).keep(changes, interval));
    }
    let all = async { tokio::join!(every(interval, || directories.watch()), join_all(kept)) };
    end.run_until_cancelled(all).await;
    // Without files there is nothing to do.
    end.cancelled().await;
}

/// At once, and then again and again.
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
    let _ = timeout(LONGEST_UNREST, quiet).await;
}

struct Part {
    inner: Arc<dyn Reload>,
    metrics: ReloadMetrics,
    /// The content that was tried last, and what came of it.
    tried: Option<(Content, Result<(), Vec<String>>)>,
    /// When it last failed, unless it has succeeded since.
    failed_at: Option<Instant>,
}

impl Part {
    fn new(inner: Arc<dyn Reload>, metrics: &Metrics) -> Self {
        Self { metrics: metrics.reload(inner.name()), inner, tried: None, failed_at: None }
    }

    async fn keep(mut self, mut changes: Receiver<()>, period: Duration) {
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
                // Its sender lives as long as this.
                _ = changes.changed() => {
                    until_quiet(&mut changes).await;
                    false
                }
            };
            retry_at = self.check(is_due).await;
        }
    }

    /// Gives when to check again, if what failed may be tried no sooner. `is_due`: the pause after a
    /// failure is over.
    async fn check(&mut self, is_due: bool) -> Option<Instant> {
        let files = self.inner.files();
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
        let result = self.inner.reload().await;
        self.metrics.set_failing(result.is_err());
        self.failed_at = result.is_err().then(Instant::now);
        let (what, is_first) = (self.inner.name(), self.tried.is_none());
        let tried = (content, result);
        match &tried.1 {
            // It was in use already.
            Ok(()) if is_first => {}
            Ok(()) => {
                self.metrics.count(true);
                tracing::info!(what, "changed files were read and are in use");
            }
            Err(_) if self.tried.as_ref() == Some(&tried) => {}
            Err(mistakes) => {
                self.metrics.count(false);
                let mistakes = mistakes.join("; ");
                tracing::error!(what, mistakes, "files cannot be used; what was read before stays in use");
            }
        }
        self.tried = Some(tried);
        None
    }
}

/// Does what blocks a thread. That it broke off is told without a panic's words, which may hold what
/// it was about.
pub(crate) async fn on_a_thread<T: Send + 'static, E: Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, Vec<E>> + Send + 'static,
) -> Result<T, Vec<String>> {
    let result = spawn_blocking(work).await.map_err(|_| vec!["reading broke off".to_owned()])?;
    result.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// SHA-256 over what some files hold and who may read them, or why they cannot be read.
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
    // A hasher keeps a block of what it read, which may be a secret.
    Ok(wiping_stack(|| Sha256::new().chain_update(mode).chain_update(&*content).finalize().into()))
}
