//! Sends all metrics to a collector, again and again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::time;
use opentelemetry_proto::{
    tonic::resource::v1::Resource, transform::common::tonic::ResourceAttributesWithSchema,
};
use prost::Message;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval_at, timeout},
};

use super::{
    collector::Collector,
    families::{Span, request},
    health::Health,
};
use crate::telemetry::{ExportMetrics, Metrics, Signal};

/// Sends all metrics of a registry to a collector.
#[derive(Debug)]
pub(super) struct Pusher {
    push: Arc<Push>,
    interval: Duration,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Push {
    collector: Collector,
    health: Health,
    resource: Resource,
    began: SystemTime,
}

impl Pusher {
    pub(super) fn new(
        collector: Collector,
        interval: Duration,
        metrics: &ExportMetrics,
        resource: &opentelemetry_sdk::Resource,
    ) -> Self {
        let health = Health::new(Signal::Metrics, metrics.failed(Signal::Metrics));
        let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
        let resource = Resource { attributes, ..Resource::default() };
        let push = Push { collector, health, resource, began: time::now() };
        Self { push: Arc::new(push), interval, task: Mutex::default() }
    }

    /// Begins. Until the collector is told to stop, and then once more.
    pub(super) fn start(&self, metrics: Arc<Metrics>) {
        let (push, interval) = (self.push.clone(), self.interval);
        let task = tokio::spawn(async move {
            let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !push.collector.is_stopping() {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = push.collector.stops() => {}
                }
                push.send(&metrics).await;
            }
        });
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Waits for the last export; `false`: it did not arrive.
    pub(super) async fn flush(self, limit: Duration) -> bool {
        let task = self.task.into_inner().unwrap_or_else(PoisonError::into_inner);
        match task {
            Some(task) => {
                let ended = timeout(limit, task).await;
                ended.is_ok_and(|ended| ended.is_ok()) && !self.push.health.is_failing()
            }
            None => true,
        }
    }
}

impl Push {
    async fn send(&self, metrics: &Metrics) {
        let span = Span::new(self.began, time::now());
        let request = request(&metrics.gather(), &self.resource, span);
        match self.collector.send(request.encode_to_vec().into()).await {
            Ok(refused) if refused.count == 0 => self.health.works(),
            Ok(_) => self.health.fails("the collector refuses some of the metrics"),
            Err(cause) => self.health.fails(&cause),
        }
    }
}
