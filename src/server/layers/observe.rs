//! Observes each call: its span, its code and its duration.
//!
//! A call ends when its answer's last byte is handed over; one that is dropped before that was
//! cancelled. Names follow OpenTelemetry's conventions for RPC.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use opentelemetry::trace::TraceId;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tracing::Span;

use super::{limits::Admitted, span::Arrived};
use crate::{
    call::RequestId,
    error::{Error, Reason},
    methods::{Method, Rpc},
    principal::Principal,
    server::peer::{Call, Peer},
    telemetry::{CallLog, EndedCall, Metrics, Sampling},
};

/// A call in flight. Dropped before its end, it was cancelled.
pub(super) struct Observed {
    span: Span,
    metrics: Arc<Metrics>,
    log: Arc<CallLog>,
    method: Method,
    id: RequestId,
    peer: Arc<str>,
    /// `None`: nobody knows.
    principal: Option<Principal>,
    began: Instant,
    end: End,
    caller_trace: Option<TraceId>,
}

impl Observed {
    pub(super) fn begin(
        method: Method,
        id: &RequestId,
        peer: &Peer,
        metrics: &Arc<Metrics>,
        log: &Arc<CallLog>,
    ) -> Self {
        Self {
            span: Span::none(),
            metrics: metrics.clone(),
            log: log.clone(),
            method,
            id: id.clone(),
            peer: peer.ip.clone(),
            principal: None,
            began: Instant::now(),
            end: End { code: Code::Cancelled, reason: "" },
            caller_trace: None,
        }
    }

    /// Who calls.
    pub(super) fn set_principal(&mut self, principal: &Principal) {
        self.principal = Some(principal.clone());
    }

    /// Begins the call's span, within its caller's if that is known.
    pub(super) fn begin_span<B>(
        &mut self,
        request: &Request<B>,
        id: &RequestId,
        peer: &Peer,
        sampling: &Sampling,
        caller: Result<Option<&Principal>, &Error>,
        is_known: bool,
    ) {
        let trace = sampling.decide(request.headers(), is_known);
        let (method, began) = (self.metrics.of(self.method).method(), self.began);
        let call = Arrived { request, method, id, peer, began, caller };
        if trace.is_sampled() {
            self.span = call.traced(&trace);
        } else if self.log.names_calls() || is_upstream(self.method) {
            // The log names the call of what goes wrong upstream, at any `log_level`.
            self.span = call.logged(&trace);
        }
        self.caller_trace = trace.of_caller();
    }

    /// The call's span; disabled where nobody would see it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// When it began.
    pub(super) const fn began(&self) -> Instant {
        self.began
    }

    /// The trace that the caller sent along.
    pub(super) fn caller_trace(&self) -> Option<TraceId> {
        self.caller_trace
    }

    fn log(&self, method: &'static str, code: &'static str, duration: Duration) {
        let call = EndedCall {
            method,
            is_ok: self.end.code == Code::Ok,
            code,
            reason: self.end.reason,
            principal: self.principal.as_ref().map(Principal::as_str),
            peer: &self.peer,
            request_id: self.id.as_str(),
            trace_id: self.caller_trace,
            duration,
        };
        self.span.in_scope(|| self.log.log(&call));
    }

    /// Follows the answer to its end. What is `kept` is kept for as long.
    pub(super) fn follow(mut self, answer: Response<Body>, kept: Kept) -> Response<Answer> {
        let kept = Some(kept);
        if let Some(end) = End::of(answer.headers()) {
            // There is no body to wait for.
            self.end = end;
            return answer.map(|body| Answer { body, rest: Bytes::new(), call: None, _kept: kept });
        }
        answer.map(|body| Answer { body, rest: Bytes::new(), call: Some(self), _kept: kept })
    }
}

/// The call on its connection, and its place.
pub(super) type Kept = (Call, Admitted);

/// How a call ended.
#[derive(Clone, Copy)]
struct End {
    code: Code,
    /// A [`Reason`]'s name; empty where there is none.
    reason: &'static str,
}

impl End {
    /// As headers or trailers say it.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_bytes(headers.get(Status::GRPC_STATUS)?.as_bytes());
        if code == Code::Ok {
            return Some(Self { code, reason: "" });
        }
        Status::from_header_map(headers).as_ref().map(Self::of_status)
    }

    fn of_status(status: &Status) -> Self {
        let info = status.get_details_error_info();
        let reason = info.and_then(|info| Reason::ALL.iter().find(|reason| reason.name() == info.reason));
        Self { code: status.code(), reason: reason.map_or("", |reason| reason.name()) }
    }
}

fn is_upstream(method: Method) -> bool {
    matches!(method, Method::Ours(rpc) if Rpc::goes_upstream(rpc))
}

impl Drop for Observed {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let End { code, reason } = self.end;
        let metrics = self.metrics.of(self.method);
        let name = metrics.ended(code as i32, reason, duration);
        if self.log.wants(code == Code::Ok, matches!(self.method, Method::Open(_))) {
            self.log(metrics.method(), name, duration);
        }
        if self.span.is_none() {
            return;
        }
        self.span.record("rpc.status_code", name);
        if code != Code::Ok {
            self.span.record("error.type", name);
        }
        if !reason.is_empty() {
            self.span.record("inkpass.reason", reason);
        }
        if is_server_fault(code) {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

/// The codes for which a server's span is an error.
const fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The longest piece of an answer. A piece is taken whole however little a caller is ready to take.
const LONGEST_PIECE: usize = 16 * 1024;

/// An answer's body, which records how its call ended.
pub(crate) struct Answer {
    body: Body,
    /// What is left of a long piece.
    rest: Bytes,
    call: Option<Observed>,
    _kept: Option<Kept>,
}

impl Answer {
    fn next_piece(&mut self) -> Option<Bytes> {
        let length = self.rest.len().min(LONGEST_PIECE);
        (length > 0).then(|| self.rest.split_to(length))
    }

    /// Of what is no call.
    pub(super) fn refusal(status: StatusCode) -> Response<Self> {
        let mut answer =
            Response::new(Self { body: Body::empty(), rest: Bytes::new(), call: None, _kept: None });
        *answer.status_mut() = status;
        answer
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(piece) = self.next_piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let end = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().and_then(End::of),
            Some(Err(status)) => Some(End::of_status(status)),
            None => None,
        };
        if let (Some(call), Some(end)) = (&mut self.call, end) {
            call.end = end;
        }
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.len() > LONGEST_PIECE => {
                    self.rest = data;
                    Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
                }
                Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}
