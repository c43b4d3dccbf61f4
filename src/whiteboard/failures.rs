//! The log of failed calls: one line each, by who can do something about it. Callers get no detail.
//!
//! Of each reason a few have lines of their own in a second, and the rest are counted in one line at its end.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::Level;

use super::{breaker::PATIENCE, call::Signed, error::Error};
use crate::{methods::Resource, shares::Refused};

const SECOND: Duration = Duration::from_secs(1);

/// How many failures of one reason have a line of their own in a second.
const LINES: u64 = 5;

/// The failures of this second. Only calls that failed take its lock.
#[derive(Clone)]
pub(super) struct Failures(Arc<Inner>);

struct Inner {
    /// Failures by their levels and reasons; empty: no second has begun.
    second: Mutex<BTreeMap<(Level, &'static str), u64>>,
    tasks: TaskTracker,
}

macro_rules! line {
    ($level:ident, $call:expr, $error:expr) => {{
        let last = $call.last().clone();
        tracing::$level!(
            reason = reason($error, $call.request.resource),
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

macro_rules! sum {
    ($level:ident, $count:expr, $reasons:expr) => {
        tracing::$level!(count = $count, reasons = $reasons, "more upstream calls failed in the last second")
    };
}

impl Failures {
    /// `tasks`: owns what writes a second's last line.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { second: Mutex::default(), tasks }))
    }

    /// Logs a failure, once for each call that was sent, and passes the result on.
    pub(super) fn log<T>(&self, call: &Signed, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && let Some(level) = level(error)
            && call.last().attempt > 0
            && call.is_news()
            && self.has_line(level, reason(error, call.request.resource))
        {
            match level {
                Level::ERROR => line!(error, call, error),
                Level::INFO => line!(info, call, error),
                _ => line!(warn, call, error),
            }
        }
        result
    }

    /// Logs the call, should it break off because nobody waits for it any longer, unless they left at once.
    pub(super) fn watch<'a>(&'a self, call: &'a Signed) -> Unanswered<'a> {
        Unanswered { failures: self, call, began: Instant::now(), is_over: false }
    }

    fn has_line(&self, level: Level, reason: &'static str) -> bool {
        let mut second = self.0.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_empty() {
            let inner = self.0.clone();
            self.0.tasks.spawn(async move {
                sleep(SECOND).await;
                inner.sum_up();
            });
        }
        let failed = second.entry((level, reason)).or_default();
        *failed += 1;
        *failed <= LINES
    }
}

impl Inner {
    /// Ends the second.
    fn sum_up(&self) {
        let second = mem::take(&mut *self.second.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sums: BTreeMap<Level, (u64, Vec<String>)> = BTreeMap::new();
        for ((level, reason), failed) in second {
            if let Some(more) = failed.checked_sub(LINES).filter(|more| *more > 0) {
                let (count, reasons) = sums.entry(level).or_default();
                *count += more;
                reasons.push(format!("{reason} {more}"));
            }
        }
        for (level, (count, reasons)) in sums {
            let reasons = reasons.join(", ");
            match level {
                Level::ERROR => sum!(error, count, reasons),
                Level::INFO => sum!(info, count, reasons),
                _ => sum!(warn, count, reasons),
            }
        }
    }
}

/// A call that has no answer yet.
pub(super) struct Unanswered<'a> {
    failures: &'a Failures,
    call: &'a Signed,
    began: Instant,
    is_over: bool,
}

impl Unanswered<'_> {
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.began.elapsed() >= PATIENCE {
            let detail = "no answer as long as its callers waited".to_owned();
            let _ = self.failures.log::<()>(self.call, Err(Error::Unreachable { detail }));
        }
    }
}

impl Drop for Inner {
    /// A process that does not wait for its tasks loses no line.
    fn drop(&mut self) {
        self.sum_up();
    }
}

/// The reason by its name in docs/errors.md, as `crate::error` will explain it; `resource` is what may be missing.
const fn reason(error: &Error, resource: Resource) -> &'static str {
    match error {
        Error::Unreachable { .. } | Error::Paused { .. } => "UPSTREAM_UNREACHABLE",
        Error::OutcomeUnknown { .. } => "UPSTREAM_OUTCOME_UNKNOWN",
        Error::CredentialsRejected { .. } => "UPSTREAM_CREDENTIALS_REJECTED",
        Error::Refused { .. } => "UPSTREAM_REFUSED",
        Error::NotFound => match resource {
            Resource::Room | Resource::Scene => "ROOM_NOT_FOUND",
            Resource::Conversion => "CONVERSION_NOT_FOUND",
            Resource::Project => "UPSTREAM_UNEXPECTED_ANSWER",
        },
        Error::SceneNotFound => "SCENE_NOT_FOUND",
        Error::RoomDisabled => "ROOM_DISABLED",
        Error::NotWaiting => "CONVERSION_NOT_WAITING",
        Error::FeatureDisabled => "UPSTREAM_FEATURE_DISABLED",
        Error::QueueFull => "UPSTREAM_QUEUE_FULL",
        Error::RateLimited { .. } => "UPSTREAM_RATE_LIMITED",
        Error::CircuitOpen { .. } => "UPSTREAM_CIRCUIT_OPEN",
        Error::ClockUnstable => "CLOCK_UNSTABLE",
        Error::NoShare(Refused::OwnShare { .. }) => "CALLER_QUOTA_EXCEEDED",
        Error::NoShare(Refused::AllTaken { .. }) => "OVERLOADED",
        Error::TooLate => "DEADLINE_EXCEEDED",
        Error::UnexpectedAnswer { .. } => "UPSTREAM_UNEXPECTED_ANSWER",
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
        | Error::Paused { .. }
        | Error::OutcomeUnknown { .. }
        | Error::QueueFull
        | Error::RateLimited { .. }
        | Error::UnexpectedAnswer { .. } => Some(Level::WARN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_the_reason_that_the_caller_is_told() {
        let detail = String::new;
        let retry_after = SECOND;
        for error in [
            Error::Unreachable { detail: detail() },
            Error::Paused { detail: detail(), retry_after },
            Error::OutcomeUnknown { detail: detail() },
            Error::CredentialsRejected { detail: detail() },
            Error::Refused { detail: detail() },
            Error::NotFound,
            Error::SceneNotFound,
            Error::RoomDisabled,
            Error::NotWaiting,
            Error::FeatureDisabled,
            Error::QueueFull,
            Error::RateLimited { retry_after: None },
            Error::CircuitOpen { retry_after },
            Error::ClockUnstable,
            Error::NoShare(Refused::OwnShare { what: "x" }),
            Error::NoShare(Refused::AllTaken { what: "x" }),
            Error::TooLate,
            Error::UnexpectedAnswer { detail: detail() },
        ] {
            for resource in [Resource::Room, Resource::Scene, Resource::Conversion, Resource::Project] {
                let told = crate::error::Error::Upstream(error.clone(), resource).explain().reason.name();
                assert_eq!(reason(&error, resource), told, "{error:?} {resource:?}");
            }
        }
    }
}
