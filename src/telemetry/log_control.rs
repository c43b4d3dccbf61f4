//! What is logged, which may change while the service runs.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering::Relaxed},
};

use tracing::{
    Level, Metadata, callsite::rebuild_interest_cache, level_filters::LevelFilter, subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Filter};

use crate::names::names;

/// The target of the lines that are one a call: [`AccessLog`] alone decides about them.
pub(super) const ACCESS: &str = "inkpass::access";

/// The log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for a person.
    Text,
}

names! { pub LogFormat { Json = "json", Text = "text" } }

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Someone may have to act.
    Warn,
    /// Events of the process: few lines.
    Info,
    /// What connections and callers are refused for.
    Debug,
    /// Everything that inkpass logs.
    Trace,
}

names! { pub LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" } }

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Which calls have a line, at any [`LogLevel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that failed.
    Errors,
    /// All; of health and reflection those that failed.
    All,
}

names! { pub AccessLog { Off = "off", Errors = "errors", All = "all" } }

/// What is logged now. Cloning it is cheap, and all clones are one.
#[derive(Clone, Debug)]
pub struct LogControl(Arc<Choice>);

#[derive(Debug)]
struct Choice {
    level: AtomicU8,
    access: AtomicU8,
}

impl LogControl {
    /// What is logged from the start.
    #[must_use]
    pub fn new(level: LogLevel, access: AccessLog) -> Self {
        Self(Arc::new(Choice { level: AtomicU8::new(level as u8), access: AtomicU8::new(access as u8) }))
    }

    /// The lowest level that is logged.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        let level = self.0.level.load(Relaxed);
        LogLevel::ALL.into_iter().find(|one| *one as u8 == level).unwrap_or(LogLevel::Info)
    }

    /// Which calls have a line.
    #[must_use]
    pub fn access(&self) -> AccessLog {
        let access = self.0.access.load(Relaxed);
        AccessLog::ALL.into_iter().find(|one| *one as u8 == access).unwrap_or(AccessLog::Errors)
    }

    /// Changes both, for every line from now on.
    pub fn set(&self, level: LogLevel, access: AccessLog) {
        self.0.level.store(level as u8, Relaxed);
        self.0.access.store(access as u8, Relaxed);
        // Each place that logs remembers whether anyone listens.
        rebuild_interest_cache();
    }

    /// Whether a line, or a span that lines name, is of interest.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let lowest = match metadata.target() {
            ACCESS => Level::INFO,
            target if target == "inkpass" || target.starts_with("inkpass::") => self.level().into(),
            "opentelemetry_sdk" => Level::ERROR,
            // Libraries log headers and frames at debug: these may hold tokens.
            _ => Level::WARN,
        };
        *metadata.level() <= lowest
    }
}

/// Filters the log alone: behind `tracing_subscriber::reload` the layer of the traces would not be found.
impl<S> Filter<S> for LogControl {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Lines of calls, and warnings of libraries, are logged at any level.
        Some(LevelFilter::from_level(Level::from(self.level()).max(Level::INFO)))
    }
}
