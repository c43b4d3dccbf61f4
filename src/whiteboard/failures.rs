//! The log of failed calls: one line each, by who can do something about it. Callers get no detail.
//!
//! Of each reason a few have lines of their own in a second, and the rest are counted in one line at its end.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::Level;

use super::{call::Signed, error::Error};

const SECOND: Duration = Duration::from_secs(1);

/// How many failures of one reason have a line of their own in a second.
const LINES: u64 = 5;

/// The failures of this second. Only calls that failed take its lock.
#[derive(Clone)]
pub(super) struct Failures(Arc<Inner>);

struct Inner {
    /// Failures by their reasons; empty: no second has begun.
    second: Mutex<BTreeMap<&'static str, u64>>,
    tasks: TaskTracker,
}

macro_rules! line {
    ($level:ident, $call:expr, $error:expr) => {{
        let last = $call.last().clone();
        tracing::$level!(
            reason = $error.name(),
            rpc = $call.request.rpc.name(),
            project = &*$call.project,
            region = $call.region.as_str(),
            access_key = $call.key.access_key(),
            http.path = $call.request.path,
            http.status = last.status,
            upstream.request_id = (!last.request_id.is_empty()).then_some(last.request_id),
            attempt = last.attempt,
            upstream.detail = $error.detail(),
            "an upstream call failed"
        )
    }};
}

impl Failures {
    /// `tasks`: owns what writes a second's last line.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { second: Mutex::default(), tasks }))
    }

    /// Logs a failure, and passes the result on.
    pub(super) fn log<T>(&self, call: &Signed, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && let Some(level) = level(error)
            && self.has_line(error.name())
        {
            match level {
                Level::ERROR => line!(error, call, error),
                Level::INFO => line!(info, call, error),
                _ => line!(warn, call, error),
            }
        }
        result
    }

    fn has_line(&self, reason: &'static str) -> bool {
        let mut second = self.0.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_empty() {
            let inner = self.0.clone();
            self.0.tasks.spawn(async move {
                sleep(SECOND).await;
                inner.sum_up();
            });
        }
        let failed = second.entry(reason).or_default();
        *failed += 1;
        *failed <= LINES
    }
}

impl Inner {
    /// Ends the second.
    fn sum_up(&self) {
        let second = mem::take(&mut *self.second.lock().unwrap_or_else(PoisonError::into_inner));
        let more = second.into_iter().map(|(reason, failed)| (reason, failed.saturating_sub(LINES)));
        let more: Vec<_> = more.filter(|(_, failed)| *failed > 0).collect();
        if !more.is_empty() {
            let count: u64 = more.iter().map(|(_, failed)| failed).sum();
            let reasons: Vec<_> = more.iter().map(|(reason, failed)| format!("{reason} {failed}")).collect();
            tracing::warn!(
                count,
                reasons = reasons.join(", "),
                "more upstream calls failed in the last second"
            );
        }
    }
}

impl Drop for Inner {
    /// A process that does not wait for its tasks loses no line.
    fn drop(&mut self) {
        self.sum_up();
    }
}

/// By who can do something about it; `None`: nothing was sent, and its refusal is no news.
fn level(error: &Error) -> Option<Level> {
    match error {
        Error::NoShare(_) | Error::TooLate | Error::ClockUnstable | Error::CircuitOpen { .. } => None,
        // Nothing works until an operator looks after the keys.
        Error::CredentialsRejected { .. } => Some(Level::ERROR),
        // The caller asked for what is not there, or not possible.
        Error::Refused { .. }
        | Error::NotFound
        | Error::SceneNotFound
        | Error::RoomDisabled
        | Error::NotWaiting
        | Error::FeatureDisabled => Some(Level::INFO),
        Error::Unreachable { .. }
        | Error::OutcomeUnknown { .. }
        | Error::QueueFull
        | Error::RateLimited { .. }
        | Error::UnexpectedAnswer { .. } => Some(Level::WARN),
    }
}
