//! The log, the traces and the metrics.
//!
//! No token, key, header or body is ever a field of a span or of an event.

mod call_log;
mod fields;
mod json_log;
mod log_control;
mod log_layer;
mod metrics;
mod sampling;
mod stderr;
mod text_log;
mod traces;

use std::{
    ffi::OsString,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::{task::JoinSet, time::interval};
use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    call_log::{CallLog, EndedCall},
    log_control::{AccessLog, LogControl, LogFormat, LogLevel},
    metrics::{
        AuditMetrics, CallMetrics, ClaimOutcome, ConnectionMetrics, Cut, DecisionMetrics, ExportMetrics,
        Failure, JwksMetrics, Metrics, Quota, Refusal, ReloadMetrics, Signal, SpanLoss, StoreCall,
        StoreMetrics, UpstreamMetrics, UpstreamStatus, names,
    },
    sampling::{CallTrace, Sampling},
};
pub(crate) use self::{fields::millis, metrics::Figures};
use self::{log_layer::LogLayer, stderr::Stderr};
use crate::flood;

/// How long the last spans may take to be exported: a stop takes 2 s where no call is under way.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's format; `None`: text where standard error is a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// The lowest level that is logged.
    pub log_level: LogLevel,
    /// Which calls have a line.
    pub access_log: AccessLog,
    /// Where spans are exported by OTLP over gRPC; the `OTEL_*` variables take precedence.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that are sampled; a caller's sampling decision takes precedence.
    pub sampling_ratio: f64,
}

impl Settings {
    /// Text for a person, and no export.
    pub const LOCAL: Self = Self {
        log_format: Some(LogFormat::Text),
        log_level: LogLevel::Info,
        access_log: AccessLog::Errors,
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
    log: LogControl,
    calls: Arc<CallLog>,
    /// What sums up the lines of calls.
    tasks: JoinSet<()>,
}

/// Starts the log, to standard error, and the export of traces. `environment`: the process's. Call it
/// within a tokio runtime.
///
/// # Errors
/// A sentence: the export cannot start, or the log's thread cannot.
pub fn start(settings: &Settings, environment: &[(OsString, OsString)]) -> Result<Telemetry, String> {
    let metrics = ExportMetrics::new().map_err(|error| format!("metrics: {error}"))?;
    let stderr = Stderr::start(metrics.log_lines_dropped.clone())?;
    let control = LogControl::new(settings.log_level, settings.access_log);
    let log = LogLayer::new(settings.log_format, stderr.clone()).with_filter(control.clone());
    let (provider, sampler) = traces::provider(settings, environment)?.unzip();
    let traces = provider.as_ref().map(|provider| {
        // The exporter itself is not traced.
        traces::layer(provider).with_filter(Targets::new().with_target("inkpass", Level::DEBUG))
    });
    // A second start has no effect.
    let _ = tracing_subscriber::registry().with(traces).with(log).try_init();
    let calls = Arc::new(CallLog::new(control.clone()));
    let mut tasks = JoinSet::new();
    tasks.spawn(sum_up(calls.clone()));
    let sampling = Sampling::new(sampler);
    Ok(Telemetry { metrics, stderr, provider, sampling, log: control, calls, tasks })
}

/// Sums up the lines of calls. It never ends by itself.
async fn sum_up(calls: Arc<CallLog>) {
    let mut ticks = interval(flood::WINDOW);
    loop {
        ticks.tick().await;
        calls.sum_up(Instant::now(), false);
    }
}

impl Telemetry {
    /// Which calls are traced.
    #[must_use]
    pub const fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// What is logged, to change it.
    #[must_use]
    pub const fn log(&self) -> &LogControl {
        &self.log
    }

    /// The lines of calls.
    #[must_use]
    pub const fn calls(&self) -> &Arc<CallLog> {
        &self.calls
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
            let Self { stderr, provider, calls, tasks, .. } = self;
            drop(tasks);
            calls.sum_up(Instant::now(), true);
            match provider.map(|provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT)) {
                Some(Ok(())) => tracing::info!("the last spans are exported"),
                Some(Err(_)) => tracing::warn!("the last spans were not exported; check the OTLP endpoint"),
                None => {}
            }
            tracing::info!("the process ends");
            stderr.flush();
        });
        // Nothing in it panics.
        let _ = flushed.await;
    }
}
