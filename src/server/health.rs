//! `grpc.health.v1`: whether this process, and each of its services, takes calls.
//!
//! Not of tonic-health: a watch of its does not end before its caller likes, and so would hold up every stop.

use std::sync::Arc;

use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait, codegen::BoxStream};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

use crate::methods::SERVICES;

/// The longest request, in bytes: it holds a service's name.
pub(super) const LONGEST_REQUEST: usize = 4 * 1024;

/// One state of the whole process, for `grpc.health.v1` and `/readyz`. It begins as not ready.
#[derive(Clone, Default)]
pub(super) struct Health {
    ready: Arc<watch::Sender<bool>>,
    ended: CancellationToken,
}

impl Health {
    /// After [`Health::end`] it is not ready any more. Whether that is a change.
    pub(super) fn set_ready(&self, ready: bool) -> bool {
        self.ready.send_if_modified(|was| {
            let ready = ready && !self.ended.is_cancelled();
            std::mem::replace(was, ready) != ready
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Not ready any more: watchers are told so, and their watches end.
    pub(super) fn end(&self) {
        self.ended.cancel();
        self.set_ready(false);
    }

    pub(super) fn service(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone()).max_decoding_message_size(LONGEST_REQUEST)
    }
}

/// The empty name is the process.
fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn serving(ready: bool) -> HealthCheckResponse {
    answer(if ready { ServingStatus::Serving } else { ServingStatus::NotServing })
}

/// A watch: what is known of the service, and whether the first state was told.
struct Watch {
    is_known: bool,
    told: Option<bool>,
    states: watch::Receiver<bool>,
    ended: CancellationToken,
}

impl Watch {
    /// The next state that differs from what was told; `None` after the last.
    async fn next(&mut self) -> Option<HealthCheckResponse> {
        if !self.is_known {
            if self.told.replace(false).is_none() {
                return Some(answer(ServingStatus::ServiceUnknown));
            }
            self.ended.cancelled().await;
            return None;
        }
        loop {
            let ready = *self.states.borrow_and_update();
            if self.told.replace(ready) != Some(ready) {
                return Some(serving(ready));
            }
            let changed = self.ended.run_until_cancelled(self.states.changed()).await;
            // At the end the last state is still told.
            if !matches!(changed, Some(Ok(()))) && self.told == Some(*self.states.borrow()) {
                return None;
            }
        }
    }
}

#[async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service here"));
        }
        Ok(Response::new(serving(self.is_ready())))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = is_known(&request.get_ref().service);
        let (states, ended) = (self.ready.subscribe(), self.ended.clone());
        let watch = Watch { is_known, told: None, states, ended };
        let states = unfold(watch, |mut watch| async {
            let state = watch.next().await?;
            Some((Ok(state), watch))
        });
        Ok(Response::new(Box::pin(states)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tonic_health::pb::health_server::Health as _;

    use super::*;

    async fn check(health: &Health, service: &str) -> Result<ServingStatus, Status> {
        let request = Request::new(HealthCheckRequest { service: service.to_owned() });
        health.check(request).await.map(|answer| answer.into_inner().status())
    }

    #[tokio::test]
    async fn nothing_is_ready_before_it_is_set() {
        let health = Health::default();
        for name in SERVICES.into_iter().chain([""]) {
            assert_eq!(check(&health, name).await.unwrap(), ServingStatus::NotServing, "{name}");
            health.set_ready(true);
            assert_eq!(check(&health, name).await.unwrap(), ServingStatus::Serving, "{name}");
            health.set_ready(false);
        }
        assert_eq!(check(&health, "other.Service").await.unwrap_err().code(), tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn a_watch_tells_each_state_and_ends_with_the_last() {
        for (service, first) in [("", ServingStatus::NotServing), ("x", ServingStatus::ServiceUnknown)] {
            let health = Health::default();
            let request = Request::new(HealthCheckRequest { service: service.to_owned() });
            let mut states = health.watch(request).await.unwrap().into_inner();
            assert_eq!(states.next().await.unwrap().unwrap().status(), first);
            health.set_ready(true);
            if service.is_empty() {
                assert_eq!(states.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
            }
            health.end();
            if service.is_empty() {
                assert_eq!(states.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
            }
            assert!(states.next().await.is_none());
        }
    }
}
