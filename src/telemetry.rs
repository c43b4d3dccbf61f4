//! The log: JSON lines, or text for a person.

use std::{io, str::FromStr};

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(()),
        }
    }
}

/// The least that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs someone's hand.
    Error,
    /// What may need it.
    Warn,
    /// What happened, a few lines a process.
    Info,
    /// Each call.
    Debug,
    /// Everything of ours.
    Trace,
}

impl LogLevel {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Error, "error"),
        (Self::Warn, "warn"),
        (Self::Info, "info"),
        (Self::Debug, "debug"),
        (Self::Trace, "trace"),
    ];
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(level, _)| level).ok_or(())
    }
}

/// `[telemetry]`, as far as the log goes.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// How it is written.
    pub format: LogFormat,
    /// The least that is written.
    pub level: LogLevel,
}

/// Starts the log, to standard error. A second start changes nothing.
pub fn start_log(settings: LogSettings) {
    let level = LogLevel::ALL[settings.level as usize].1;
    // Libraries write headers and frames from debug on: a token could be in them.
    let filter = EnvFilter::new(format!("warn,inkpass={level}"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
