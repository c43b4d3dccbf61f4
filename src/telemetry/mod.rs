//! The log, the traces and the metrics.
//!
//! No token, key, header or body is ever a field of a span or of an event.

mod call_log;
mod export;
mod fields;
mod json_log;
mod log_control;
mod log_layer;
mod metrics;
mod sampling;
mod stderr;
mod text_log;
mod traced_span;
mod traces;

use std::{ffi::OsString, sync::Arc, time::Instant};

use tokio::{task::JoinSet, time::interval};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    call_log::{CallLog, EndedCall},
    export::{ExportSettings, Exported, OtlpProtocol},
    log_control::{AccessLog, LogControl, LogFormat, LogLevel},
    metrics::{
        AuditMetrics, CallMetrics, ClaimOutcome, ConnectionMetrics, Cut, DecisionMetrics, ExportMetrics,
        Failure, JwksMetrics, Metrics, Quota, Refusal, ReloadMetrics, Signal, SpanLoss, StoreCall,
        StoreFault, StoreMetrics, UpstreamMetrics, UpstreamStatus, names,
    },
    sampling::{CallTrace, Sampling},
    traces::{TRACED, is_traced, trace_headers},
};
use self::{export::Exports, log_layer::LogLayer, stderr::Stderr};
pub(crate) use self::{export::is_endpoint, fields::millis, metrics::Figures, traced_span::traced_span};
use crate::{
    document::Mistake,
    entropy::{Entropy, SystemEntropy},
    flood,
    hex::Uuid4,
};

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's format; `None`: text where standard error is a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// The lowest level that is logged.
    pub log_level: LogLevel,
    /// Which calls have a line.
    pub access_log: AccessLog,
    /// What is exported, and where.
    pub export: ExportSettings,
}

impl Settings {
    /// Text for a person, and only the exports that the `OTEL_*` variables ask for. `environment`: the process's.
    ///
    /// # Errors
    /// Those of [`ExportSettings::read`].
    pub fn local(environment: &[(OsString, OsString)]) -> Result<Self, Vec<Mistake>> {
        Ok(Self {
            log_format: Some(LogFormat::Text),
            log_level: LogLevel::Info,
            access_log: AccessLog::Errors,
            export: ExportSettings::read(environment, &Exported::LOCAL)?,
        })
    }
}

/// The running log and export.
#[must_use]
pub struct Telemetry {
    metrics: ExportMetrics,
    stderr: Stderr,
    exports: Exports,
    sampling: Sampling,
    log: LogControl,
    calls: Arc<CallLog>,
    /// What sums up the lines of calls.
    tasks: JoinSet<()>,
}

/// Starts the log, to standard error, and the exports. Call it within a tokio runtime.
///
/// # Errors
/// A sentence: a thread of the log or of an export cannot start.
pub fn start(settings: &Settings) -> Result<Telemetry, String> {
    let metrics = ExportMetrics::new().map_err(|error| format!("metrics: {error}"))?;
    let stderr = Stderr::start(metrics.log_lines_dropped.clone())?;
    let control = LogControl::new(settings.log_level, settings.access_log);
    let log = LogLayer::new(settings.log_format, stderr.clone()).with_filter(control.clone());
    let instance = Uuid4::random(SystemEntropy.bytes());
    let exports = Exports::start(&settings.export, &metrics, &instance)
        .map_err(|error| format!("the exports cannot start: {error}"))?;
    let tracing = exports.tracing();
    let traces = tracing.as_ref().map(|(_, tracer)| traces::layer(tracer.clone()));
    // A second start has no effect.
    let _ = tracing_subscriber::registry().with(traces).with(log).try_init();
    settings.export.warn();
    let calls = Arc::new(CallLog::new(control.clone()));
    let mut tasks = JoinSet::new();
    tasks.spawn(sum_up(calls.clone()));
    let sampling = Sampling::new(tracing, settings.export.propagates());
    Ok(Telemetry { metrics, stderr, exports, sampling, log: control, calls, tasks })
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

    /// Has the metrics of the log and of exports exported with the others, and sends all of them to a collector, if
    /// there is one.
    pub fn observe(&self, metrics: &Arc<Metrics>) {
        metrics.export(&self.metrics);
        self.exports.push(metrics.clone());
    }

    /// Sends the last exports and writes the last log lines, within two seconds.
    pub async fn flush(self) {
        let Self { stderr, exports, calls, tasks, .. } = self;
        drop(tasks);
        calls.sum_up(Instant::now(), true);
        exports.flush().await;
        tracing::info!("the process ends");
        // Nothing in it panics.
        let _ = tokio::task::spawn_blocking(move || stderr.flush()).await;
    }
}
