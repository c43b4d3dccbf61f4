//! The layers around every call: steps of [`Layers::call`], in their one order.

mod checks;
mod deadline;
mod observe;

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service},
    service,
};
use tracing::Instrument;

pub(super) use self::observe::Answer;
use self::{checks::refuse_other_protocols, deadline::Deadline, observe::Observed};
use super::incoming::Peer;
use crate::{
    call::{CallContext, RequestId},
    caller::{Callers, Unknown},
    entropy::Entropy,
    error::Error,
    methods::Method,
    principal::Principal,
    rpc,
    telemetry::{Metrics, Sampling},
};

/// The call's id in its answer, the log and the audit trail.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the layers share.
pub(super) struct Layers {
    /// For request ids.
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sampling: Sampling,
    /// Authenticates; `None`: every caller is anonymous.
    pub(super) callers: Option<Arc<Callers>>,
    /// Caps the time until an answer begins.
    pub(super) longest_call: Duration,
    /// The services of `inkpass.v1`.
    pub(super) routes: rpc::Routes,
    /// Health and reflection.
    pub(super) open_routes: service::Routes,
}

impl Layers {
    /// The way of every call, from the outside in.
    ///
    /// One future, and not one a layer: each would hold the request, and all are moved with the call's task.
    pub(super) async fn call(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<Answer> {
        // 1. Outermost: every answer has an id, a refusal by any layer too.
        let id = self.request_id(request.headers());
        // 2. Around observation, because what is not gRPC is no call.
        if let Some(status) = refuse_other_protocols(&request) {
            return with_id(Answer::refusal(status), id);
        }
        // 3. Around all that can refuse a call, so that every refusal is counted.
        let method = Method::of(request.uri().path());
        let call = Observed::begin(method, &request, &id, &peer, &self.sampling, &self.metrics);
        let span = call.span();
        // 4. Around authentication, because that may wait for an issuer's keys.
        let deadline = Deadline::of(request.headers(), call.began(), self.longest_call);
        // 5. Innermost: a handler sees authenticated callers only.
        let principal = deadline.enforce(self.authenticate(method, request.headers(), &peer));
        let answer = match principal.instrument(span.clone()).await {
            Some(Ok(principal)) => {
                request.extensions_mut().insert(CallContext {
                    principal,
                    peer: peer.ip.clone(),
                    request_id: id.clone(),
                    trace_id: call.caller_trace(),
                    deadline: deadline.of_caller(),
                });
                let answer = deadline.enforce(self.handle(method, request)).instrument(span).await;
                answer.map_or(Err(Error::DeadlineExceeded), |Ok(answer)| Ok(answer))
            }
            Some(Err(unknown)) => Err(Error::Unauthenticated(unknown)),
            None => Err(Error::DeadlineExceeded),
        };
        with_id(call.follow(answer.unwrap_or_else(|error| Status::from(error).into_http())), id)
    }

    /// The caller's own id, if it is safe to log, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let of_caller = headers.get(REQUEST_ID).and_then(RequestId::new);
        of_caller.unwrap_or_else(|| RequestId::random(self.entropy.bytes()))
    }

    /// Who calls. Health and reflection are open to everyone.
    async fn authenticate(
        &self,
        method: Method,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Principal, Unknown> {
        match (&self.callers, method) {
            (None, _) | (_, Method::Open(_)) => Ok(Principal::anonymous()),
            (Some(callers), _) => callers.identify(headers, peer.certificates.as_deref()).await,
        }
    }

    fn handle(&self, method: Method, request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible> {
        match method {
            Method::Ours(rpc) => self.routes.call(rpc, request),
            Method::Open(_) => Box::pin(self.open_routes.clone().call(request.map(Body::new))),
            Method::Unknown => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        }
    }
}

fn with_id(mut answer: Response<Answer>, id: RequestId) -> Response<Answer> {
    answer.headers_mut().insert(REQUEST_ID, id.into_header());
    answer
}
