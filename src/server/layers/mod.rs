//! The layers around every call: steps of [`Layers::call`], in their one order.

mod body;
mod checks;
mod deadline;
mod fields;
mod limits;
mod observe;
mod open_streams;
mod span;

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, Request, Response,
    header::{CONTENT_TYPE, TE},
};
use hyper::body::Incoming;
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service},
    service,
};
use tracing::Instrument;

use self::{
    body::RequestBody, checks::refuse_other_protocols, deadline::Deadline, limits::Admitted,
    observe::Observed,
};
pub(super) use self::{limits::Limits, observe::Answer};
use super::peer::{Call, Peer};
use crate::{
    call::{CallContext, EffectSoFar, RequestId},
    caller::{Callers, Unknown},
    entropy::Entropy,
    error::Error,
    methods::Method,
    principal::Principal,
    rpc,
    telemetry::{CallLog, Metrics, Sampling},
    whiteboard::Effect,
};

/// The call's id in its answer, the log and the audit trail.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the layers share.
pub(super) struct Layers {
    /// For request ids.
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) call_log: Arc<CallLog>,
    pub(super) sampling: Sampling,
    /// Authenticates; `None`: every caller is anonymous.
    pub(super) callers: Option<Arc<Callers>>,
    /// Caps the time until an answer begins.
    pub(super) longest_call: Duration,
    pub(super) limits: Limits,
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
        request: Request<Incoming>,
        mut call: Call,
    ) -> Response<Answer> {
        // 1. Outermost: every answer has an id, a refusal by any layer too.
        let id = self.request_id(request.headers());
        // 2. Around observation, because what is not gRPC is no call.
        if let Some(status) = refuse_other_protocols(&request) {
            return with_id(Answer::refusal(status), id);
        }
        // 3. Around all that can refuse a call, so that every refusal is counted.
        let method = Method::of(request.uri().path());
        let mut observed = Observed::begin(method, &id, &call, &self.metrics, &self.call_log);
        // 4. Around authentication, because that may wait for an issuer's keys.
        let deadline = Deadline::of(request.headers(), observed.began(), self.longest_call);
        if let Some(patience) = deadline.patience() {
            call.set_patience(observed.began(), patience);
        }
        // 5. Before the span: whom nobody knows decides nothing about what is traced.
        let caller = match deadline.enforce(self.authenticate(method, request.headers(), &call)).await {
            Some(Ok(caller)) => Ok(caller),
            Some(Err(unknown)) => Err(Error::Unauthenticated(unknown)),
            None => Err(Error::DeadlineExceeded(Effect::None)),
        };
        if let Ok(Some(principal)) = &caller {
            observed.set_principal(principal);
        }
        let is_known = self.callers.is_none() || matches!(&caller, Ok(Some(_)));
        let known = caller.as_ref().map(Option::as_ref);
        observed.begin_span(&request, &id, &call, &self.sampling, known, is_known);
        // 6. Before the handler: what there is no place for is answered at its headers.
        let admitted =
            caller.and_then(|caller| Ok((self.limits.admit(method, caller.as_ref(), &call)?, caller)));
        let (place, answer) = match admitted {
            Ok((place, caller)) => {
                let effect = EffectSoFar::of(effect_of(method));
                let mut request = request.map(|body| {
                    self.limits.body(body, method, caller.clone(), &call, effect.clone(), &place)
                });
                keep_needed(request.headers_mut());
                // A handler of `inkpass.v1` sees authenticated callers only.
                request.extensions_mut().insert(CallContext {
                    principal: caller.unwrap_or_else(Principal::anonymous),
                    peer: call.ip.clone(),
                    request_id: id.clone(),
                    trace_id: observed.caller_trace(),
                    deadline: deadline.of_caller(),
                    effect: effect.clone(),
                });
                let answer = self.answer(method, request).instrument(observed.span());
                let answer = deadline.enforce(answer).await.map(|answer| place.limit(answer));
                (place, answer.ok_or_else(|| too_late(&effect)))
            }
            Err(error) => (Admitted::default(), Err(error)),
        };
        let answer = answer.unwrap_or_else(|error| Status::from(error).into_http());
        let call = if place.is_open() { call } else { call.hand_over() };
        with_id(observed.follow(answer, (call, place)), id)
    }

    /// The caller's own id, if it is safe to log, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let of_caller = headers.get(REQUEST_ID).and_then(RequestId::new);
        of_caller.unwrap_or_else(|| RequestId::random(self.entropy.bytes()))
    }

    /// Who calls; `None`: someone, for health and reflection are open to everyone.
    async fn authenticate(
        &self,
        method: Method,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Option<Principal>, Unknown> {
        let caller = match (&self.callers, method) {
            (_, Method::Open(_)) => return Ok(None),
            (None, _) => Principal::anonymous(),
            (Some(callers), _) => callers.identify(headers, peer.certificates.as_deref()).await?,
        };
        peer.place.set_client(&caller);
        Ok(Some(caller))
    }

    /// Whether a connection's certificate names a caller, which is authenticated then.
    pub(super) async fn greet(&self, peer: &Peer) {
        if let (Some(callers), Some(certificates)) = (&self.callers, &peer.certificates)
            && let Ok(caller) = callers.identify(&HeaderMap::new(), Some(certificates)).await
        {
            peer.place.set_client(&caller);
        }
    }

    /// By the service that has the method.
    async fn answer(&self, method: Method, request: Request<RequestBody>) -> Response<Body> {
        let handled: BoxFuture<_, Infallible> = match method {
            Method::Ours(rpc) => self.routes.call(rpc, request),
            Method::Open(_) => Box::pin(self.open_routes.clone().call(request.map(Body::new))),
            Method::Unknown => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        };
        let Ok(answer) = handled.await;
        answer
    }
}

/// Headers that something behind the layers reads.
static NEEDED: [HeaderName; 4] = [
    CONTENT_TYPE,
    TE,
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
];

/// As many headers as most calls have.
const FEW: usize = 16;

/// Drops what nobody reads any more. A call's headers may take four times their length for as long as its message does
/// not come.
fn keep_needed(headers: &mut HeaderMap) {
    if headers.len() > FEW {
        let needed = NEEDED.iter().filter_map(|name| headers.remove(name).map(|value| (name.clone(), value)));
        *headers = needed.collect();
    }
}

/// What a call may do that could not be done twice.
fn effect_of(method: Method) -> Effect {
    match method {
        Method::Ours(rpc) => Effect::of(rpc),
        Method::Open(_) | Method::Unknown => Effect::None,
    }
}

/// What a call is told whose answer has not begun in time.
fn too_late(effect: &EffectSoFar) -> Error {
    let error = Error::DeadlineExceeded(effect.get());
    if effect.repeats_safely() { error.repeated_safely() } else { error }
}

fn with_id(mut answer: Response<Answer>, id: RequestId) -> Response<Answer> {
    answer.headers_mut().insert(REQUEST_ID, id.into_header());
    answer
}
