//! The layers around every call: one type each, in the one order that [`Layers::call`] lists.

mod authenticate;
mod deadline;
mod grpc_only;
mod observe;
mod request_id;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use self::{
    authenticate::Authenticate, deadline::EnforceDeadline, grpc_only::GrpcOnly, observe::Observe,
    request_id::AssignRequestId,
};
use crate::{caller::Callers, entropy::Entropy, telemetry::Metrics};

/// All layers. Each calls the next one, or answers by itself.
pub(super) struct Layers {
    assign_request_id: AssignRequestId,
    grpc_only: GrpcOnly,
    observe: Observe,
    enforce_deadline: EnforceDeadline,
    authenticate: Authenticate,
}

impl Layers {
    /// `callers`: who may call; `None`: everyone. `longest_call`: the longest that a call may take until
    /// its answer begins.
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

    async fn call<F>(
        &self,
        request: Request<Body>,
        handler: impl FnOnce(Request<Body>) -> F + Send,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>> + Send,
    {
        // 1. The request id comes first, so that every answer has one, a refusal of any layer too.
        self.assign_request_id
            .call(request, |request| {
                // 2. What is not gRPC is refused before it counts as a call.
                self.grpc_only.call(request, |request| {
                    // 3. Observation is outside of all that can refuse a call, so that each is counted.
                    self.observe.call(request, |request| {
                        // 4. The deadline is outside of authentication, which may wait for an issuer.
                        self.enforce_deadline.call(request, |request| {
                            // 5. Authentication is the last: a handler sees only callers that are known.
                            self.authenticate.call(request, handler)
                        })
                    })
                })
            })
            .await
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
        // The one that is ready is used; its clone becomes ready for the next call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let layers = self.layers.clone();
        let handler = async move |request| {
            let Ok(response) = inner.call(request).await;
            response
        };
        Box::pin(async move { Ok(layers.call(request, handler).await) })
    }
}
