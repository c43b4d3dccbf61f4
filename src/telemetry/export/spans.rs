//! The queue of spans and their export: a wrapper around the SDK's, which counts nothing that can be read.

use std::{
    future::Future,
    slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Array, Context, StringValue, Value};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus::IntCounter;
use prost::Message;
use tokio::runtime::Handle;

use super::{collector::Collector, health::Health, settings::TraceSettings};
use crate::telemetry::{ExportMetrics, SpanLoss};

/// Spans that wait to be sent: never more than its capacity.
#[derive(Debug)]
struct Queue {
    length: AtomicUsize,
    capacity: usize,
    dropped: IntCounter,
}

/// Queues spans, and counts those for which there is no place.
#[derive(Debug)]
pub(super) struct Spans {
    inner: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl Spans {
    /// Call it within a tokio runtime, which sends.
    pub(super) fn new(
        settings: &TraceSettings,
        collector: Arc<Collector>,
        health: Arc<Health>,
        metrics: &ExportMetrics,
        resource: &Resource,
    ) -> Self {
        let queue = Arc::new(Queue {
            length: AtomicUsize::new(0),
            capacity: settings.queue,
            dropped: metrics.spans_dropped(SpanLoss::Queue),
        });
        let exporter = Exporter {
            health,
            collector,
            exported: metrics.spans_exported.clone(),
            dropped: metrics.spans_dropped(SpanLoss::Export),
            resource: ResourceAttributesWithSchema::from(resource),
            value_length: settings.value_length,
            runtime: Handle::current(),
            queue: queue.clone(),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue)
            .with_max_export_batch_size(settings.batch)
            .with_scheduled_delay(settings.delay)
            .build();
        Self { inner: BatchSpanProcessor::new(exporter, config), queue }
    }
}

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.queue.length.fetch_add(1, Ordering::Relaxed) < self.queue.capacity {
            self.inner.on_end(span);
        } else {
            self.queue.length.fetch_sub(1, Ordering::Relaxed);
            self.queue.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
}

/// Sends batches of spans, on the runtime: the SDK's thread only waits.
#[derive(Debug)]
struct Exporter {
    collector: Arc<Collector>,
    health: Arc<Health>,
    exported: IntCounter,
    dropped: IntCounter,
    resource: ResourceAttributesWithSchema,
    /// The most characters of an attribute's value.
    value_length: Option<usize>,
    runtime: Handle,
    queue: Arc<Queue>,
}

impl SpanExporter for Exporter {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let count = batch.len();
        self.queue.length.fetch_sub(count, Ordering::Relaxed);
        self.health.overflowed(self.queue.dropped.get());
        if let Some(most) = self.value_length {
            let attributes = batch.iter_mut().flat_map(|span| &mut span.attributes);
            attributes.for_each(|attribute| shorten(&mut attribute.value, most));
        }
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
        let collector = self.collector.clone();
        let sent = self.runtime.spawn(async move { collector.send(request).await });
        async move {
            let count = count as u64;
            let answer = sent.await.unwrap_or_else(|_| Err("the process ends".to_owned()));
            match answer {
                Ok(refused) => {
                    let refused = refused.count.min(count);
                    self.exported.inc_by(count - refused);
                    self.dropped.inc_by(refused);
                    match refused {
                        0 => self.health.works(),
                        _ => self.health.fails("the collector refuses some of the spans"),
                    }
                    Ok(())
                }
                Err(cause) => {
                    self.dropped.inc_by(count);
                    self.health.fails(&cause);
                    Err(OTelSdkError::InternalFailure(cause))
                }
            }
        }
    }
}

/// Texts only, as the specification has it.
fn shorten(value: &mut Value, most: usize) {
    let texts = match value {
        Value::String(text) => slice::from_mut(text),
        Value::Array(Array::String(texts)) => &mut texts[..],
        _ => return,
    };
    for text in texts {
        if let Some((end, _)) = text.as_str().char_indices().nth(most) {
            *text = StringValue::from(text.as_str()[..end].to_owned());
        }
    }
}
