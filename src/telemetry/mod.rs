//! What operators see: the log, the traces and the metrics.
//!
//! No token, key, header or body is ever a field of a span or of an event.

mod json_log;
mod metrics;
mod stderr;
mod traces;

use std::{
    ffi::OsString,
    fmt::Debug,
    io::{self, IsTerminal},
    str::FromStr,
    time::Duration,
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::IntCounter;
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt::format, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use self::metrics::{AuditMetrics, CallMetrics, ClockSkew, JwksMetrics, Metrics, ReloadMetrics};
use self::stderr::Stderr;

/// How long the last spans may take to leave at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

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

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the log is written.
    pub log_format: LogFormat,
    /// The least that is written.
    pub log_level: LogLevel,
    /// Where spans are sent by OTLP over gRPC; the `OTEL_*` variables go first.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that begin here and are kept; a caller's own decision goes first.
    pub sampling_ratio: f64,
}

impl Settings {
    /// Text for a person, and no export.
    pub const LOCAL: Self = Self {
        log_format: LogFormat::Text,
        log_level: LogLevel::Info,
        otlp_endpoint: None,
        sampling_ratio: 1.0,
    };
}

/// Whatever has to be done at the end.
#[must_use]
pub struct Telemetry {
    stderr: Stderr,
    provider: Option<SdkTracerProvider>,
}

/// Starts the log, to standard error, and the export of traces. `environment`: the process's.
///
/// # Errors
/// A sentence, if spans are to be exported and cannot be, or there can be no thread for the log. Call
/// it within a tokio runtime.
pub fn start(settings: &Settings, environment: &[(OsString, OsString)]) -> Result<Telemetry, String> {
    let level = LogLevel::ALL[settings.log_level as usize].1;
    // Libraries write headers and frames from debug on: a token could be in them.
    let filter = EnvFilter::new(format!("warn,inkpass={level},opentelemetry_sdk=error"));
    let stderr = Stderr::start()?;
    let log = match settings.log_format {
        LogFormat::Json => json_log::JsonLog::new(stderr.clone()).boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_writer(stderr.clone())
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(format::debug_fn(write_field))
            .boxed(),
    };
    let provider = traces::provider(settings, environment)?;
    let traces = provider.as_ref().map(|provider| {
        // The exporter itself is traced by nobody.
        traces::layer(provider).with_filter(Targets::new().with_target("inkpass", tracing::Level::DEBUG))
    });
    // A second start changes nothing.
    let _ = tracing_subscriber::registry().with(traces).with(log.with_filter(filter)).try_init();
    Ok(Telemetry { stderr, provider })
}

/// What a person wants to read of a span or an event.
fn write_field(
    writer: &mut format::Writer<'_>,
    field: &tracing::field::Field,
    value: &dyn Debug,
) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if name.starts_with("otel.") || name.starts_with("network.") || name == "rpc.system.name" => {
            Ok(())
        }
        name => write!(writer, " {name}={value:?}"),
    }
}

impl Telemetry {
    /// Counts the log lines that could not be written.
    #[must_use]
    pub const fn log_lines_dropped(&self) -> &IntCounter {
        self.stderr.dropped()
    }

    /// Sends the last spans and writes the last log lines, within some seconds.
    pub async fn flush(self) {
        // Not on the runtime, which the exporter needs.
        let flushed = tokio::task::spawn_blocking(move || {
            let Self { stderr, provider } = self;
            if provider.is_some_and(|provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT).is_err()) {
                tracing::warn!("the last spans could not be sent");
            }
            stderr.flush();
        });
        // It cannot fail: nothing in it panics.
        let _ = flushed.await;
    }
}
