//! The log, the traces and the metrics.
//!
//! No token, key, header or body is ever a field of a span or of an event.

mod json_log;
mod metrics;
mod sampling;
mod stderr;
mod traces;

use std::{
    ffi::OsString,
    fmt::Debug,
    io::{self, IsTerminal},
    time::Duration,
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_subscriber::{
    Layer, filter::Targets, fmt::format, layer::SubscriberExt, util::SubscriberInitExt,
};

pub(crate) use self::metrics::Figures;
use self::stderr::Stderr;
pub use self::{
    metrics::{
        AuditMetrics, CallMetrics, ClaimOutcome, ClockSkew, ConnectionMetrics, Cut, DecisionMetrics,
        ExportMetrics, Failure, JwksMetrics, Metrics, Quota, Refusal, ReloadMetrics, Signal, SpanLoss,
        StoreCall, StoreMetrics, UpstreamMetrics, UpstreamStatus, names,
    },
    sampling::{CallTrace, Sampling},
};
use crate::names::names;

/// How long the last spans may take to be exported.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Each call.
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

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's format.
    pub log_format: LogFormat,
    /// The lowest level that is logged.
    pub log_level: LogLevel,
    /// Where spans are exported by OTLP over gRPC; the `OTEL_*` variables take precedence.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that are sampled; a caller's sampling decision takes precedence.
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

/// The running log and export.
#[must_use]
pub struct Telemetry {
    metrics: ExportMetrics,
    stderr: Stderr,
    provider: Option<SdkTracerProvider>,
    sampling: Sampling,
}

/// Starts the log, to standard error, and the export of traces. `environment`: the process's. Call it
/// within a tokio runtime.
///
/// # Errors
/// A sentence: the export cannot start, or the log's thread cannot.
pub fn start(settings: &Settings, environment: &[(OsString, OsString)]) -> Result<Telemetry, String> {
    let level = Level::from(settings.log_level);
    // Libraries log headers and frames at debug: these may hold tokens.
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_target("inkpass", level)
        .with_target("opentelemetry_sdk", Level::ERROR);
    let metrics = ExportMetrics::new().map_err(|error| format!("metrics: {error}"))?;
    let stderr = Stderr::start(metrics.log_lines_dropped.clone())?;
    let log = match settings.log_format {
        LogFormat::Json => json_log::JsonLog::new(stderr.clone()).boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_writer(stderr.clone())
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(format::debug_fn(write_field))
            .boxed(),
    };
    let (provider, sampler) = traces::provider(settings, environment)?.unzip();
    let traces = provider.as_ref().map(|provider| {
        // The exporter itself is not traced.
        traces::layer(provider).with_filter(Targets::new().with_target("inkpass", Level::DEBUG))
    });
    // A second start has no effect.
    let _ = tracing_subscriber::registry().with(traces).with(log.with_filter(filter)).try_init();
    Ok(Telemetry { metrics, stderr, provider, sampling: Sampling::new(sampler, level >= Level::DEBUG) })
}

/// Writes the fields that a person reads, and leaves the others out.
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
    /// Which calls are traced.
    #[must_use]
    pub const fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The metrics of the log and of exports.
    #[must_use]
    pub const fn metrics(&self) -> &ExportMetrics {
        &self.metrics
    }

    /// Exports the last spans and writes the last log lines, within some seconds.
    pub async fn flush(self) {
        // Not on the runtime's threads, which the exporter needs.
        let flushed = tokio::task::spawn_blocking(move || {
            let Self { stderr, provider, .. } = self;
            if provider.is_some_and(|provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT).is_err()) {
                tracing::warn!("the last spans were not exported; check the OTLP endpoint");
            }
            stderr.flush();
        });
        // Nothing in it panics.
        let _ = flushed.await;
    }
}
