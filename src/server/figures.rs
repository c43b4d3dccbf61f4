//! The metrics that are looked up when someone asks for them: what is in use, keys, the certificate, watches, the
//! upstream's circuits, the runtime.

use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Handle;

use super::{layers::Limits, parts::Parts};
use crate::{
    shares::Shares,
    telemetry::{
        Figures,
        names::{self, Metric},
    },
};

/// Exports them all.
pub(super) fn export(parts: &Parts, limits: &Limits) {
    export_places(parts, limits);
    export_keys(parts);
    if let Some(tls) = parts.tls.clone() {
        static METRICS: [Metric; 1] = [names::CERTIFICATE_EXPIRY];
        let look = move |figures: &mut Figures<'_>| {
            figures.set(names::CERTIFICATE_EXPIRY, &[], float(tls.expires().unsigned_abs()));
        };
        parts.metrics.look(&METRICS, look);
    }
    let watcher = parts.services.watcher.clone();
    parts.metrics.look(&WATCHES, move |figures| {
        let (open, conversions) = watcher.counts();
        figures.set(names::WATCHES, &[], float(open as u64));
        figures.set(names::CONVERSIONS_FOLLOWED, &[], float(conversions as u64));
    });
    let whiteboard = parts.services.whiteboard.clone();
    parts.metrics.look(&UPSTREAM, move |figures| {
        figures.set(names::UPSTREAM_RETRY_BUDGET, &[], whiteboard.repeats_left().into());
        for (region, class, circuit) in whiteboard.circuits() {
            let labels = [region.as_str(), class];
            figures.set(names::UPSTREAM_BREAKER, &labels, float(circuit as u64));
        }
    });
    let runtime = Handle::current();
    parts.metrics.look(&RUNTIME, move |figures| look_at_the_runtime(&runtime, figures));
}

static PLACES: [Metric; 3] = [names::IN_FLIGHT, names::IN_USE, names::SHED];
static KEYS: [Metric; 2] = [names::TOKENS_ISSUED, names::KEY_AGE];
static WATCHES: [Metric; 2] = [names::WATCHES, names::CONVERSIONS_FOLLOWED];
static UPSTREAM: [Metric; 2] = [names::UPSTREAM_RETRY_BUDGET, names::UPSTREAM_BREAKER];
static RUNTIME: [Metric; 4] =
    [names::TOKIO_WORKERS, names::TOKIO_TASKS, names::TOKIO_QUEUE, names::TOKIO_BUSY];

/// What there is a place for, and what found none.
fn export_places(parts: &Parts, limits: &Limits) {
    let (calls, refused) = (limits.of_calls(), limits.refused_open_calls().clone());
    let (creator, [reads, writes]) = (&parts.services.creator, parts.services.whiteboard.places());
    let (creating, request_ids) = (creator.places().clone(), creator.request_ids().clone());
    let others = [limits.of_bytes().clone(), creating, request_ids, reads, writes];
    parts.metrics.look(&PLACES, move |figures| {
        for calls in &calls {
            figures.set(names::IN_FLIGHT, &[&label(calls)], float(calls.taken() as u64));
        }
        for shares in calls.iter().chain(&others) {
            let (name, [total, share]) = (label(shares), shares.refusals());
            let in_use = float(shares.taken() as u64) / float(shares.capacity() as u64).max(1.0);
            figures.set(names::IN_USE, &[&name], in_use);
            figures.set(names::SHED, &[&name, "total"], float(total));
            figures.set(names::SHED, &[&name, "share"], float(share));
        }
        figures.set(names::SHED, &["open_calls", "share"], float(refused.load(Relaxed)));
    });
}

/// What is bounded, as a label names it.
fn label(shares: &Shares) -> String {
    shares.what().replace(' ', "_")
}

/// Of each project as it is now: one that is gone has no series any more.
fn export_keys(parts: &Parts) {
    let authorizer = &parts.services.authorizer;
    let (keyring, stability) = (authorizer.keyring.clone(), parts.stability.clone());
    parts.metrics.look(&KEYS, move |figures| {
        let keyring = keyring.load();
        for project in keyring.projects() {
            for (kind, role, count) in project.minted().all() {
                let labels = [project.name(), kind.as_str(), role.as_str()];
                figures.set(names::TOKENS_ISSUED, &labels, float(count));
            }
            for (state, key, changed) in project.changes() {
                let age = stability.wall_time().saturating_since(changed);
                let labels = [project.name(), key.access_key(), state.as_str()];
                figures.set(names::KEY_AGE, &labels, age.as_secs_f64().floor());
            }
        }
    });
}

fn look_at_the_runtime(runtime: &Handle, figures: &mut Figures<'_>) {
    let metrics = runtime.metrics();
    let workers = metrics.num_workers();
    let busy: f64 = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64()).sum();
    figures.set(names::TOKIO_WORKERS, &[], float(workers as u64));
    figures.set(names::TOKIO_TASKS, &[], float(metrics.num_alive_tasks() as u64));
    figures.set(names::TOKIO_QUEUE, &[], float(metrics.global_queue_depth() as u64));
    figures.set(names::TOKIO_BUSY, &[], busy);
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn float(count: u64) -> f64 {
    count as f64
}
