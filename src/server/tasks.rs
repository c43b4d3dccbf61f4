//! The tasks of a server, as futures: each ends with the server, and one that ends before it ends the server.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, task::JoinError};
use tokio_util::sync::CancellationToken;
use tonic::service;

use super::{
    admin,
    capacity::Capacity,
    connections::Keeper,
    figures,
    health::{self, Health},
    layers::{Layers, Limits},
    listener::Listener,
    parts::{Error, Parts, Timeouts},
    places::Places,
    readiness::Readiness,
};
use crate::{
    audit::Audit, caller, memory_limit::memory_limit, proto::DESCRIPTORS, reload, rpc, shares::Shares,
    telemetry::ConnectionMetrics,
};

/// The admin listener as a future, until `end`.
pub(super) fn serve_admin(
    listener: TcpListener,
    parts: &Parts,
    readiness: Arc<Readiness>,
    end: CancellationToken,
) -> impl Future<Output = Result<(), TaskError>> + use<> {
    let places = Places::new(Capacity::of_admin(), parts.metrics.connections("admin"));
    let router = admin::router(readiness, parts.metrics.clone());
    async move {
        let keep = |stream, place| admin::keep(router.clone(), stream, place, end.clone());
        Listener::new(listener, places).serve(end.clone(), keep).await;
        Ok(())
    }
}

/// The gRPC server as a future, and what its calls take places of.
pub(super) fn serve_grpc(
    listener: TcpListener,
    parts: &Parts,
    health: &Health,
    drain: CancellationToken,
) -> Result<(UnderWay, impl Future<Output = Result<(), TaskError>> + use<>), Error> {
    let mut open_routes = service::Routes::new(health.service());
    if parts.reflection {
        let reflection = || {
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS)
        };
        let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
        open_routes = open_routes
            .add_service(v1.max_decoding_message_size(health::LONGEST_REQUEST))
            .add_service(v1alpha.max_decoding_message_size(health::LONGEST_REQUEST));
    }
    let Timeouts { call, connection_age } = parts.timeouts;
    let memory = memory_limit();
    let limits = Limits::within(memory);
    figures::export(parts, &limits);
    let connections = parts.metrics.connections("grpc");
    let under_way = UnderWay { calls: limits.of_calls(), connections: connections.clone() };
    let layers = Layers {
        entropy: parts.entropy.clone(),
        metrics: parts.metrics.clone(),
        call_log: parts.call_log.clone(),
        sampling: parts.sampling.clone(),
        callers: parts.callers.clone(),
        longest_call: call,
        limits,
        routes: rpc::Routes::new(&parts.services),
        open_routes,
    };
    let (tls, entropy) = (parts.tls.clone(), parts.entropy.clone());
    let keeper = Keeper::new(tls, layers, entropy, connection_age, drain.clone());
    let capacity = Capacity::of_grpc(parts.connections_per_peer, memory);
    let places = Places::new(capacity, connections);
    let serving = async move {
        let keep = |stream, place| keeper.clone().keep(stream, place);
        Listener::new(listener, places).serve(drain, keep).await;
        Ok(())
    };
    Ok((under_way, serving))
}

/// What is under way at the gRPC listener.
pub(super) struct UnderWay {
    calls: [Arc<Shares>; 5],
    connections: ConnectionMetrics,
}

impl UnderWay {
    /// Calls, watches among them; without those of health.
    pub(super) fn calls(&self) -> usize {
        self.calls.iter().map(|calls| calls.taken()).sum()
    }

    pub(super) fn connections(&self) -> i64 {
        self.connections.open.get()
    }
}

/// Reloads changed files and issuers' keys, and watches the clock, until the end.
pub(super) fn maintain(
    parts: &Parts,
    end: CancellationToken,
) -> impl Future<Output = Result<(), TaskError>> + use<> {
    let (callers, stability) = (parts.callers.clone(), parts.stability.clone());
    let reloads = reload::run(parts.files.clone(), reload::INTERVAL, &parts.metrics, end.clone());
    async move {
        let issuers = async {
            match &callers {
                Some(callers) => callers.run(caller::JWKS_INTERVAL, end.clone()).await,
                None => end.cancelled().await,
            }
        };
        tokio::join!(reloads, end.run_until_cancelled(stability.watch()), issuers);
        Ok(())
    }
}

pub(super) fn readiness(parts: &Parts, health: &Health) -> Readiness {
    Readiness {
        audit: parts.services.authorizer.trail.audit.clone(),
        stability: parts.stability.clone(),
        tls: parts.tls.clone(),
        metrics: parts.metrics.clone(),
        health: health.clone(),
        unready_when_refusing: parts.unready_when_refusing,
        seen: Mutex::default(),
    }
}

pub(super) async fn watch_readiness(
    readiness: Arc<Readiness>,
    end: CancellationToken,
) -> Result<(), TaskError> {
    end.run_until_cancelled(readiness.watch()).await;
    Ok(())
}

/// Fails when the audit trail ends before the server.
pub(super) async fn watch_audit(audit: Option<Arc<Audit>>, end: CancellationToken) -> Result<(), TaskError> {
    match audit {
        None => end.cancelled().await,
        Some(audit) => {
            if end.run_until_cancelled(audit.ended()).await.is_some() {
                return Err("the audit trail ended".into());
            }
        }
    }
    Ok(())
}

pub(super) type TaskError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn describe(ended: Result<Result<(), TaskError>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it stopped listening".to_owned(),
        Ok(Err(error)) => error.to_string(),
        // A panic's message may hold a secret.
        Err(error) if error.is_panic() => "it panicked".to_owned(),
        Err(_) => "it was cancelled".to_owned(),
    }
}
