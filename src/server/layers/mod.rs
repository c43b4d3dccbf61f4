//! The layers around every call: one type each, in the one order that [`Layers::call`] lists.

mod checks;
mod next;
mod observe;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

use self::{
    checks::{Authenticate, EnforceDeadline, GrpcOnly},
    next::Next,
    observe::{AssignRequestId, Observe},
};
use crate::{caller::Callers, entropy::Entropy, telemetry::Metrics};

/// All layers. Each calls the next one, or responds itself.
pub(super) struct Layers {
    assign_request_id: AssignRequestId,
    grpc_only: GrpcOnly,
    observe: Observe,
    enforce_deadline: EnforceDeadline,
    authenticate: Authenticate,
}

impl Layers {
    /// `callers`: authenticates; `None`: nobody is authenticated. `longest_call`: caps the time until a
    /// response begins.
    pub(super) fn new(
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
        callers: Option<Arc<Callers>>,
        longest_call: Duration,
    ) -> Self {
        Self {
            assign_request_id: AssignRequestId(entropy),
            grpc_only: GrpcOnly,
            observe: Observe(metrics),
            enforce_deadline: EnforceDeadline { longest: longest_call },
            authenticate: Authenticate(callers),
        }
    }

    /// The order, from the handler outwards.
    async fn call(&self, request: Request<Body>, arrived: Instant, handler: impl Next) -> Response<Body> {
        // 5. Innermost: a handler sees authenticated callers only.
        let authenticate = |request| self.authenticate.call(request, handler);
        // 4. Around authentication, because that may wait for an issuer's keys.
        let enforce_deadline = |request| self.enforce_deadline.call(request, arrived, authenticate);
        // 3. Around all that can refuse a call, so that every refusal is counted.
        let observe = |request| self.observe.call(request, enforce_deadline);
        // 2. Around observation, because what is not gRPC is no call.
        let grpc_only = |request| self.grpc_only.call(request, observe);
        // 1. Outermost: every answer has an id, a refusal by any layer too.
        self.assign_request_id.call(request, grpc_only).await
    }
}

/// Puts the layers around tonic's services.
#[derive(Clone)]
pub(super) struct AroundEveryCall(pub(super) Arc<Layers>);

impl<S> Layer<S> for AroundEveryCall {
    type Service = Layered<S>;

    fn layer(&self, inner: S) -> Layered<S> {
        Layered { inner, layers: self.0.clone() }
    }
}

#[derive(Clone)]
pub(super) struct Layered<S> {
    inner: S,
    layers: Arc<Layers>,
}

impl<S> Service<Request<Body>> for Layered<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The ready service takes this call; its clone is polled ready for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let layers = self.layers.clone();
        let handler = async move |request| {
            let Ok(response) = inner.call(request).await;
            response
        };
        // Now, and not when the future is first polled: tonic's own timer starts in between.
        let arrived = Instant::now();
        Box::pin(async move { Ok(layers.call(request, arrived, handler).await) })
    }
}
