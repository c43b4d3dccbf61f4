//! What is exported, where, and of whom it speaks: from the settings and the `OTEL_*` variables, which take precedence.

use std::{ffi::OsString, ops::RangeInclusive, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use url::Url;

use super::{
    resource,
    sampler::{parent_based, read_sampler},
    signal::OtlpProtocol,
    target::{Defaults, Target},
    variables::{Variables, Warning, quote},
};
use crate::{document::Mistake, telemetry::Signal};

/// Variables that are set for other reasons than to be ignored, and have no effect here.
const WITHOUT_EFFECT: [(&str, &str); 7] = [
    ("OTEL_EXPORTER_OTLP_INSECURE", "the endpoint's scheme says whether TLS is used"),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "the endpoint's scheme says whether TLS is used"),
    ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "the endpoint's scheme says whether TLS is used"),
    ("OTEL_LOG_LEVEL", "telemetry.log_level is the log's level"),
    ("OTEL_CONFIG_FILE", "settings come from one file of inkpass"),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", "settings come from one file of inkpass"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "metrics have no exemplars"),
];

/// The most spans that may be queued.
const LONGEST_QUEUE: u64 = 1_000_000;

/// A day, in milliseconds.
const LONGEST_DELAY: u64 = 86_400_000;

/// What the specification has be understood of a whole number.
const LIMITS: RangeInclusive<u64> = 0..=2_147_483_647;

/// What `[telemetry]` says of exports.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The collector; `None`: only the variables may name one.
    pub endpoint: Option<Url>,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// The share of traces that are sampled where the caller decides nothing.
    pub sampling_ratio: f64,
}

impl Exported {
    /// Nothing but what the variables ask for, and all of that.
    pub const LOCAL: Self = Self { endpoint: None, protocol: OtlpProtocol::Grpc, sampling_ratio: 1.0 };
}

/// What is exported, and where.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    pub(super) traces: Option<TraceSettings>,
    pub(super) metrics: Option<MetricSettings>,
    pub(super) resource: Vec<KeyValue>,
    propagates: bool,
    warnings: Vec<Warning>,
}

/// How spans are sampled, queued and sent.
#[derive(Clone, Debug)]
pub(super) struct TraceSettings {
    pub(super) target: Target,
    pub(super) sampler: Sampler,
    /// The most spans that wait to be sent.
    pub(super) queue: usize,
    /// The most spans of one export.
    pub(super) batch: usize,
    /// The longest that a span waits.
    pub(super) delay: Duration,
    /// The most attributes of a span.
    pub(super) attributes: u32,
    /// The most characters of an attribute's value.
    pub(super) value_length: Option<usize>,
}

/// How metrics are sent.
#[derive(Clone, Debug)]
pub(super) struct MetricSettings {
    pub(super) target: Target,
    pub(super) interval: Duration,
}

impl ExportSettings {
    /// `environment`: the process's.
    ///
    /// # Errors
    /// A variable names an endpoint that is no URL of a collector, or there are no CA roots to verify it by.
    pub fn read(environment: &[(OsString, OsString)], exported: &Exported) -> Result<Self, Vec<Mistake>> {
        let variables = Variables::new(environment);
        let is_on = !variables.is_true("OTEL_SDK_DISABLED");
        let mut mistakes = Vec::new();
        let mut target = |signal: Signal| {
            if !is_on || !is_exported(&variables, signal) {
                return None;
            }
            let defaults = Defaults { endpoint: exported.endpoint.as_ref(), protocol: exported.protocol };
            let target = Target::read(&variables, signal, &defaults);
            target.unwrap_or_else(|mistake| {
                mistakes.push(mistake);
                None
            })
        };
        let (traces, metrics) = (target(Signal::Traces), target(Signal::Metrics));
        if !mistakes.is_empty() {
            mistakes.dedup();
            return Err(mistakes);
        }
        let traces = traces.map(|target| read_traces(&variables, target, exported.sampling_ratio));
        let metrics = metrics.map(|target| read_metrics(&variables, target));
        let propagates = propagates(&variables);
        let resource = resource::read(&variables);
        if is_on {
            warn_of_logs(&variables);
            for (name, why) in WITHOUT_EFFECT.iter().filter(|(name, _)| variables.get(name).is_some()) {
                variables.warn(name, &format!("has no effect: {why}"));
            }
        }
        Ok(Self { traces, metrics, resource, propagates, warnings: variables.into_warnings() })
    }
}

impl ExportSettings {
    /// Which traces are exported, for the log; `None`: none.
    #[must_use]
    pub fn sampling(&self) -> Option<String> {
        self.traces.as_ref().map(|traces| format!("{:?}", traces.sampler))
    }

    /// Whether a trace goes on from a caller to us, and from us upstream.
    pub(crate) const fn propagates(&self) -> bool {
        self.propagates
    }

    #[cfg(test)]
    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Logs which variables cannot be used.
    pub(in crate::telemetry) fn warn(&self) {
        for Warning { variable, what } in &self.warnings {
            tracing::warn!(variable, "{variable} {what}");
        }
    }
}

/// Whether a signal is exported, as `OTEL_TRACES_EXPORTER` and its like say; by default it is.
fn is_exported(variables: &Variables<'_>, signal: Signal) -> bool {
    let known: &[_] = match signal {
        Signal::Traces => &["otlp", "none"],
        // For Prometheus there is always `/metrics`.
        Signal::Metrics => &["otlp", "prometheus", "none"],
    };
    let exporters = variables.list(&format!("OTEL_{}_EXPORTER", signal.in_variables()), known);
    exporters.is_empty() || exporters.contains(&"otlp")
}

fn warn_of_logs(variables: &Variables<'_>) {
    let name = "OTEL_LOGS_EXPORTER";
    if let Some(value) = variables.get(name).filter(|value| !value.eq_ignore_ascii_case("none")) {
        let what = format!("is {}, but the log goes to standard error only", quote(value));
        variables.warn(name, &what);
    }
}

fn read_traces(variables: &Variables<'_>, target: Target, sampling_ratio: f64) -> TraceSettings {
    let number = |name, range| variables.number(&[name], range);
    let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 1..=LONGEST_QUEUE).unwrap_or(2048);
    let batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1..=LONGEST_QUEUE);
    if batch.is_some_and(|batch| batch > queue) {
        let what = format!("is more than the queue holds: {queue} are sent at once");
        variables.warn("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &what);
    }
    let delay = number("OTEL_BSP_SCHEDULE_DELAY", 1..=LONGEST_DELAY).unwrap_or(5000);
    let timeout = variables.timeout(&["OTEL_BSP_EXPORT_TIMEOUT"], LONGEST_DELAY).unwrap_or(Duration::MAX);
    let limits = ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"];
    let lengths = ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];
    let attributes = variables.number(&limits, LIMITS).and_then(|limit| limit.try_into().ok());
    TraceSettings {
        sampler: read_sampler(variables)
            .unwrap_or_else(|| parent_based(Sampler::TraceIdRatioBased(sampling_ratio))),
        queue: size(queue),
        batch: size(batch.unwrap_or(512).min(queue)),
        delay: Duration::from_millis(delay),
        attributes: attributes.unwrap_or(128),
        value_length: variables.number(&lengths, LIMITS).map(size),
        target: Target { timeout: target.timeout.min(timeout), ..target },
    }
}

fn read_metrics(variables: &Variables<'_>, target: Target) -> MetricSettings {
    let interval = variables.number(&["OTEL_METRIC_EXPORT_INTERVAL"], 1..=LONGEST_DELAY);
    let interval = interval.map_or(Duration::from_mins(1), Duration::from_millis);
    let timeout = variables.timeout(&["OTEL_METRIC_EXPORT_TIMEOUT"], LONGEST_DELAY).unwrap_or(Duration::MAX);
    let only = |name: &str, supported: &str| {
        let parse = |text: &str| text.eq_ignore_ascii_case(supported).then_some(());
        variables.choose(&[name], supported, parse);
    };
    only("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative");
    only("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram");
    MetricSettings { interval, target: Target { timeout: target.timeout.min(timeout), ..target } }
}

/// By `OTEL_PROPAGATORS`. Baggage is accepted, and not used.
fn propagates(variables: &Variables<'_>) -> bool {
    let propagators = variables.list("OTEL_PROPAGATORS", &["tracecontext", "baggage", "none"]);
    propagators.is_empty() || propagators.contains(&"tracecontext")
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
