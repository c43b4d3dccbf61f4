//! The layers that may refuse a call before a handler sees it.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use tonic::{Status, body::Body};

use super::{
    next::Next,
    observe::{CallerTrace, RequestId},
};
use crate::{
    call::{CallContext, Deadline},
    caller::Callers,
    error::Error,
    principal::Principal,
    server::incoming::Peer,
};

/// Refuses requests that are not gRPC, which tonic would treat as gRPC: 405 for another method than
/// POST, 415 for another content type than `application/grpc`.
pub(super) struct GrpcOnly;

impl GrpcOnly {
    pub(super) async fn call(&self, request: Request<Body>, next: impl Next) -> Response<Body> {
        let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_grpc = content_type
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
        let status = match (request.method(), is_grpc) {
            (&Method::POST, true) => return next.run(request).await,
            (&Method::POST, false) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    }
}

/// Ends a call whose response has not begun in time: by its caller's deadline, or the server's.
///
/// tonic reports a deadline that has passed as `CANCELLED`. This layer is inside tonic's own, its time
/// counts from an earlier moment, and it reports `DEADLINE_EXCEEDED`.
pub(super) struct EnforceDeadline {
    /// Caps the caller's deadline.
    pub(super) longest: Duration,
}

impl EnforceDeadline {
    /// `arrived`: before tonic's timer started.
    pub(super) async fn call(
        &self,
        mut request: Request<Body>,
        arrived: tokio::time::Instant,
        next: impl Next,
    ) -> Response<Body> {
        let timeout = grpc_timeout(request.headers());
        if let Some(deadline) = timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let is_over = timeout.is_some_and(|timeout| timeout.is_zero());
        let longest = timeout.map_or(self.longest, |timeout| timeout.min(self.longest));
        let over = tokio::time::sleep_until(arrived + longest);
        tokio::select! {
            biased;
            () = ready(()), if is_over => Status::from(Error::DeadlineExceeded).into_http(),
            response = next.run(request) => response,
            () = over => Status::from(Error::DeadlineExceeded).into_http(),
        }
    }
}

/// The caller's `grpc-timeout`. One that cannot be read is ignored, as tonic does.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?))
}

/// At most eight digits and a unit: the gRPC specification, "Requests".
fn parse(text: &str) -> Option<Duration> {
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

/// Services that need no credential.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// Identifies the caller, and makes the call's [`CallContext`] an extension of the request. `None`:
/// every caller is anonymous.
pub(super) struct Authenticate(pub(super) Option<Arc<Callers>>);

impl Authenticate {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        if OPEN.iter().any(|prefix| request.uri().path().starts_with(prefix)) {
            return next.run(request).await;
        }
        let peer = request.extensions().get::<Peer>().cloned();
        let principal = match self.principal(request.headers(), peer.as_ref()).await {
            Ok(principal) => principal,
            Err(error) => return Status::from(error).into_http(),
        };
        let extensions = request.extensions();
        let context = CallContext {
            principal,
            peer: peer.map(|peer| peer.address.ip()),
            request_id: extensions.get().map(RequestId::as_str).unwrap_or_default().to_owned(),
            trace_id: extensions.get().map(|CallerTrace(id)| *id),
        };
        request.extensions_mut().insert(context);
        next.run(request).await
    }

    async fn principal(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Principal, Error> {
        let Some(callers) = &self.0 else { return Ok(Principal::anonymous()) };
        let certificates = peer.and_then(|peer| peer.certificates.as_deref());
        callers.identify(headers, certificates).await.map_err(Error::Unauthenticated)
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
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
