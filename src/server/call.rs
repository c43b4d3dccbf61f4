//! What every call has, whatever it asks for: an id, a deadline, a caller, and someone who sees it.
//!
//! tonic reports a deadline that has passed as `CANCELLED`; this layer, which is inside tonic's own
//! and whose timer starts first, reports `DEADLINE_EXCEEDED`.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument;

use super::{doorman::Doorman, observe::Observed};
use crate::{
    entropy::Entropy,
    rpc::{Deadline, Error},
    telemetry::Metrics,
    uuid4::Uuid4,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest that a call may take until its answer begins, whatever its caller allows.
const LONGEST_CALL: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(super) struct CallLayer {
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
    doorman: Doorman,
}

impl CallLayer {
    pub(super) fn new(entropy: Arc<dyn Entropy>, metrics: Arc<Metrics>, doorman: Doorman) -> Self {
        Self { entropy, metrics, doorman }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, context: self.clone() }
    }
}

#[derive(Clone)]
pub(super) struct CallService<S> {
    inner: S,
    context: CallLayer,
}

impl<S, B> Service<Request<B>> for CallService<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request_id(request.headers(), &*self.context.entropy);
        if let Some(mut refusal) = not_grpc(&request) {
            refusal.headers_mut().insert(REQUEST_ID, id);
            return Box::pin(async { Ok(refusal) });
        }
        let (mut parts, body) = request.into_parts();
        let call = Observed::begin(&parts, id.to_str().unwrap_or_default(), self.context.metrics.clone());
        let asked = asked_time(&parts.headers);
        if let Some(deadline) = asked.and_then(|asked| Instant::now().checked_add(asked)) {
            parts.extensions.insert(Deadline(deadline));
        }
        let deadline = tokio::time::sleep(asked.map_or(LONGEST_CALL, |asked| asked.min(LONGEST_CALL)));
        // The one that is ready is used; its clone becomes ready for the next call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let doorman = self.context.doorman.clone();
        let (named, trace_id) = (id.clone(), call.trace_id());
        let answer = async move {
            match doorman.admit(&mut parts, named.to_str().unwrap_or_default(), trace_id).await {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(error) => Ok(Status::from(error).into_http()),
            }
        };
        let answer = answer.instrument(call.span().clone());
        let is_over = asked.is_some_and(|asked| asked.is_zero());
        Box::pin(async move {
            let mut response = tokio::select! {
                biased;
                () = ready(()), if is_over => Status::from(Error::DeadlineExceeded).into_http(),
                answer = answer => answer?,
                () = deadline => Status::from(Error::DeadlineExceeded).into_http(),
            };
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(call.follow(response))
        })
    }
}

/// What is refused because it is not gRPC; tonic would take it for gRPC.
fn not_grpc<B>(request: &Request<B>) -> Option<Response<Body>> {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_grpc = content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
    let status = match (request.method(), is_grpc) {
        (&Method::POST, true) => return None,
        (&Method::POST, false) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Some(response)
}

/// The caller's own id, if it is one that a log can hold, or a new one.
fn request_id(headers: &HeaderMap, entropy: &dyn Entropy) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(allowed)
    };
    headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
        let id = Uuid4::random(entropy.bytes());
        HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
    })
}

/// The caller's `grpc-timeout`. One that cannot be read is ignored, as tonic does.
fn asked_time(headers: &HeaderMap) -> Option<Duration> {
    headers.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?))
}

/// At most eight digits and a unit: the gRPC specification, "Requests".
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_the_specification_says() {
        for (text, expected) in [
            ("0n", Some(Duration::ZERO)),
            ("1500m", Some(Duration::from_millis(1500))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("100000000S", None),
            ("x", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text}");
        }
    }
}
