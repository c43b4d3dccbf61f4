//! Readiness: one state for `grpc.health.v1` and `/readyz`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::methods::SERVICES;

#[derive(Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// Begins as not ready.
    pub(super) async fn new() -> Self {
        let health = Self { reporter: HealthReporter::new(), ready: Arc::default() };
        health.set_ready(false).await;
        health
    }

    pub(super) async fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in SERVICES.into_iter().chain([""]) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Request;
    use tonic_health::pb::{HealthCheckRequest, health_server::Health as _};

    use super::*;

    #[tokio::test]
    async fn nothing_is_ready_before_it_is_set() {
        let health = Health::new().await;
        assert!(!health.is_ready());
        let service = HealthService::from_health_reporter(health.reporter.clone());
        for name in SERVICES.into_iter().chain([""]) {
            let request = Request::new(HealthCheckRequest { service: name.to_owned() });
            let status = service.check(request).await.unwrap().into_inner().status;
            assert_eq!(status, ServingStatus::NotServing as i32, "{name}");
        }
    }
}
