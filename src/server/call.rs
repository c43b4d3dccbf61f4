//! What every call has, whatever it asks for: an id and a deadline.
//!
//! tonic reports a deadline that has passed as `CANCELLED`; this layer, which is inside tonic's own
//! and whose timer starts first, reports `DEADLINE_EXCEEDED`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument;

use crate::{
    entropy::Entropy,
    rpc::{Deadline, Error},
    token::Nonce,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest that a call may take until its answer begins, whatever its caller allows.
const LONGEST_CALL: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(super) struct CallLayer {
    entropy: Arc<dyn Entropy>,
}

impl CallLayer {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, entropy: self.entropy.clone() }
    }
}

#[derive(Clone)]
pub(super) struct CallService<S> {
    inner: S,
    entropy: Arc<dyn Entropy>,
}

impl<S, B> Service<Request<B>> for CallService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = request_id(request.headers(), &*self.entropy);
        let asked = asked_time(request.headers());
        if let Some(deadline) = asked.and_then(|asked| Instant::now().checked_add(asked)) {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let deadline = tokio::time::sleep(asked.map_or(LONGEST_CALL, |asked| asked.min(LONGEST_CALL)));
        let span =
            tracing::info_span!("call", rpc = request.uri().path(), request_id = id.to_str().unwrap_or(""));
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span);
        Box::pin(async move {
            let mut response = tokio::select! {
                biased;
                answer = answer => answer?,
                () = deadline => Status::from(Error::DeadlineExceeded).into_http(),
            };
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        })
    }
}

/// The caller's own id, if it is one that a log can hold, or a new one.
fn request_id(headers: &HeaderMap, entropy: &dyn Entropy) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(allowed)
    };
    headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
        let id = Nonce::random(entropy.bytes());
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
