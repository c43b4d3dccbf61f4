//! The log of failed calls: one line each, by who can do something about it. Callers get no detail.
//!
//! Of each reason a few have lines of their own in a second, and the rest are counted in one line at its end.

use std::time::Instant;

use tokio_util::task::TaskTracker;
use tracing::Level;

use super::{breaker::PATIENCE, call::Signed, error::Error};
use crate::tally::Tally;

/// How many failures of one reason have a line of their own in a second.
const LINES: u64 = 5;

/// Only calls that failed take its lock.
#[derive(Clone)]
pub(super) struct Failures(Tally<(Level, &'static str)>);

macro_rules! line {
    ($level:ident, $call:expr, $error:expr) => {{
        let last = $call.last().clone();
        tracing::$level!(
            reason = $error.reason($call.request.resource).name(),
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
        Self(Tally::of_reasons(LINES, tasks, "more upstream calls failed in the last second"))
    }

    /// Logs a failure, once for each call that was sent, and passes the result on.
    pub(super) fn log<T>(&self, call: &Signed, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && let Some(level) = level(error)
            && call.last().attempt > 0
            && call.is_news()
            && self.0.has_line((level, error.reason(call.request.resource).name()), 1)
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
