//! One line for each call: `telemetry.access_log`.
//!
//! Few of a principal's have lines of their own in a second, and the rest one line; callers that nobody knows are one
//! principal. Calls that succeed take no room from those that fail.

use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use tracing::field::display;

use super::{
    fields::millis,
    log_control::{ACCESS, AccessLog, LogControl, LogLevel},
};
use crate::{
    clock::{Clock, SystemClock, UnixMillis},
    flood::{self, Flood, keep_shared},
};

/// How long a line is without its texts, in bytes.
const FRAME: usize = 256;

/// The lines of calls.
#[derive(Debug)]
pub struct CallLog {
    control: LogControl,
    fine: Flood<Sum>,
    failed: Flood<Sum>,
}

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedCall<'a> {
    /// `package.Service/Method`, or `_OTHER`.
    pub method: &'static str,
    /// Whether its code is OK.
    pub is_ok: bool,
    /// The name of its code.
    pub code: &'static str,
    /// The name of its reason; empty where there is none.
    pub reason: &'static str,
    /// The caller; `None`: nobody knows.
    pub principal: Option<&'a str>,
    /// Its IP address.
    pub peer: &'a str,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// The trace that the caller sent along.
    pub trace_id: Option<TraceId>,
    /// From its headers to the end of its answer.
    pub duration: Duration,
}

/// Calls that have no line of their own.
#[derive(Debug)]
struct Sum {
    count: u64,
    since: UnixMillis,
    longest: Duration,
    /// What they share; empty where they differ.
    method: &'static str,
    code: &'static str,
    reason: &'static str,
}

impl CallLog {
    /// As `control` has it at each moment.
    #[must_use]
    pub fn new(control: LogControl) -> Self {
        let now = Instant::now();
        Self { control, fine: Flood::new(now), failed: Flood::new(now) }
    }

    /// Whether the log is so detailed that its lines name the call that they are about, whatever it is.
    #[must_use]
    pub fn names_calls(&self) -> bool {
        matches!(self.control.level(), LogLevel::Debug | LogLevel::Trace)
    }

    /// Whether a call is logged. `is_open`: it is of health or reflection.
    #[must_use]
    pub fn wants(&self, is_ok: bool, is_open: bool) -> bool {
        match self.control.access() {
            AccessLog::Off => false,
            AccessLog::Errors => !is_ok,
            AccessLog::All => !is_ok || !is_open,
        }
    }

    /// Logs a call, or adds it to its principal's sum.
    pub fn log(&self, call: &EndedCall<'_>) {
        let flood = if call.is_ok { &self.fine } else { &self.failed };
        let principal = call.principal.unwrap_or_default();
        if !flood.has_line(principal, call.length(), || Sum::of(call), Instant::now()) {
            return;
        }
        let trace_id = call.trace_id.map(display);
        tracing::info!(
            target: ACCESS,
            principal = call.principal,
            rpc.method = call.method,
            rpc.status_code = call.code,
            reason = some(call.reason),
            peer = call.peer,
            request_id = call.request_id,
            trace_id,
            duration_ms = millis(call.duration),
            "a call ended"
        );
    }

    /// Logs the sums of the last second, if it is over or this `is_last`.
    pub fn sum_up(&self, now: Instant, is_last: bool) {
        for flood in [&self.fine, &self.failed] {
            flood.sum_up(now, is_last, Sum::log);
        }
    }
}

impl Default for CallLog {
    /// Without any line.
    fn default() -> Self {
        Self::new(LogControl::new(LogLevel::Info, AccessLog::Off))
    }
}

impl EndedCall<'_> {
    /// The length of its line, in bytes. Its texts are ASCII that needs no escape.
    fn length(&self) -> usize {
        let texts =
            [self.method, self.reason, self.principal.unwrap_or_default(), self.peer, self.request_id];
        FRAME + texts.map(str::len).iter().sum::<usize>()
    }
}

impl Sum {
    fn of(call: &EndedCall<'_>) -> Self {
        let EndedCall { method, code, reason, duration, .. } = *call;
        Self { count: 1, since: SystemClock.now(), longest: duration, method, code, reason }
    }

    /// Gives the length of the line. `principal`: `None`: they are many callers'.
    fn log(principal: Option<&str>, sum: &Self) -> usize {
        let since = sum.since.system_time();
        let what = match principal {
            Some(_) => "more calls ended in the last second",
            None => "more calls of other callers ended in the last second",
        };
        tracing::info!(
            target: ACCESS,
            count = sum.count,
            since = %humantime::format_rfc3339_millis(since),
            longest_ms = millis(sum.longest),
            rpc.method = some(sum.method),
            rpc.status_code = some(sum.code),
            reason = some(sum.reason),
            principal = principal.and_then(some),
            "{what}"
        );
        FRAME + sum.method.len() + principal.map_or(0, str::len)
    }
}

impl flood::Sum for Sum {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.since = self.since.min(other.since);
        self.longest = self.longest.max(other.longest);
        keep_shared(&mut self.method, &other.method);
        keep_shared(&mut self.code, &other.code);
        keep_shared(&mut self.reason, &other.reason);
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
