//! The export of traces and metrics by OTLP, over gRPC or HTTP.

mod collector;
mod families;
mod health;
mod pusher;
mod resource;
mod sampler;
mod settings;
mod signal;
mod spans;
mod target;
#[cfg(test)]
mod tests;
mod variables;

use std::{io, sync::Arc, time::Duration};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

pub(crate) use self::target::is_endpoint;
use self::{
    collector::Collector,
    health::Health,
    pusher::Pusher,
    sampler::parent_based,
    settings::{MetricSettings, TraceSettings},
    spans::Spans,
};
pub use self::{
    settings::{ExportSettings, Exported},
    signal::OtlpProtocol,
};
use super::metrics::{ExportMetrics, Metrics, Signal};
use crate::hex::Uuid4;

/// How long the last exports may take: a stop takes 2 s where no call is under way.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(800);

/// What exports.
pub(super) struct Exports {
    provider: Option<SdkTracerProvider>,
    sampler: Option<Sampler>,
    pusher: Option<Pusher>,
    /// Of the export of spans.
    health: Arc<Health>,
    stopping: CancellationToken,
}

impl Exports {
    /// Call it within a tokio runtime. `instance`: this process.
    ///
    /// # Errors
    /// A thread for a collector's connections cannot start.
    pub(super) fn start(
        settings: &ExportSettings,
        metrics: &ExportMetrics,
        instance: &Uuid4,
    ) -> io::Result<Self> {
        let (stopping, resource) =
            (CancellationToken::new(), resource::resource(&settings.resource, instance));
        let health = Arc::new(Health::new(Signal::Traces, metrics.failed(Signal::Traces)));
        let start_traces = |traces: &TraceSettings| {
            let collector = Collector::new(traces.target.clone(), Signal::Traces, stopping.clone())?;
            let spans = Spans::new(traces, Arc::new(collector), health.clone(), metrics, &resource);
            // A call's span has a parent that carries the decision, or it is the root of a sampled trace.
            let builder = SdkTracerProvider::builder()
                .with_span_processor(spans)
                .with_sampler(parent_based(Sampler::AlwaysOn))
                .with_max_attributes_per_span(traces.attributes);
            Ok::<_, io::Error>(builder.with_resource(resource.clone()).build())
        };
        let provider = settings.traces.as_ref().map(start_traces).transpose()?;
        let start_pusher = |settings: &MetricSettings| {
            let collector = Collector::new(settings.target.clone(), Signal::Metrics, stopping.clone())?;
            Ok::<_, io::Error>(Pusher::new(collector, settings.interval, metrics, &resource))
        };
        let pusher = settings.metrics.as_ref().map(start_pusher).transpose()?;
        let sampler = settings.traces.as_ref().map(|traces| traces.sampler.clone());
        Ok(Self { provider, sampler, pusher, health, stopping })
    }

    /// Makes spans, and says which calls have any; `None`: spans are not exported.
    pub(super) fn tracing(&self) -> Option<(Sampler, SdkTracer)> {
        Some((self.sampler.clone()?, self.provider.as_ref()?.tracer("inkpass")))
    }

    /// Sends these metrics from now on, if metrics are exported.
    pub(super) fn push(&self, metrics: Arc<Metrics>) {
        if let Some(pusher) = &self.pusher {
            pusher.start(metrics);
        }
    }

    /// Sends what waits, for less than a second.
    pub(super) async fn flush(self) {
        self.stopping.cancel();
        let metrics = async {
            if let Some(pusher) = self.pusher {
                tell("metrics", pusher.flush(FLUSH_TIMEOUT).await);
            }
        };
        let traces = async {
            let Some(provider) = self.provider else { return };
            // Not on the runtime's threads, which the exporter needs.
            let flushed = spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
            tell("spans", flushed.is_ok_and(|flushed| flushed.is_ok()) && !self.health.is_failing());
        };
        tokio::join!(metrics, traces);
    }
}

fn tell(what: &'static str, have_arrived: bool) {
    if have_arrived {
        tracing::info!("the last {what} are exported");
    } else {
        tracing::warn!("the last {what} were not exported; check the OTLP endpoint");
    }
}
