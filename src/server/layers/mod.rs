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

use tonic::body::Body;
use tower::{Layer, Service};

use self::{
    authenticate::Authenticate, deadline::EnforceDeadline, grpc_only::GrpcOnly, observe::Observe,
    request_id::AssignRequestId,
};
use crate::{caller::Callers, entropy::Entropy, telemetry::Metrics};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

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

    async fn call<F>(&self, request: Request, handler: impl FnOnce(Request) -> F + Send) -> Response
    where
        F: Future<Output = Response> + Send,
    {
        // 1. The request id comes first, so that every response has one, a refusal of any layer too.
        self.assign_request_id
            .call(request, |request| {
                // 2. A request that is not gRPC is refused before it counts as a call.
                self.grpc_only.call(request, |request| {
                    // 3. Observation is outside of all layers that refuse calls, so that each is counted.
                    self.observe.call(request, |request| {
                        // 4. The deadline is outside of authentication, which may wait for an issuer.
                        self.enforce_deadline.call(request, |request| {
                            // 5. Authentication is the last: a handler sees only authenticated callers.
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

impl<S> Service<Request> for Layered<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The ready service takes this call; its clone is polled ready for the next.
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
