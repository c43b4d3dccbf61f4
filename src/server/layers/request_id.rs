//! `x-request-id`: a call's id in its response, the log and the audit trail.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use tonic::body::Body;

use super::next::Next;
use crate::{entropy::Entropy, uuid4::Uuid4};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The call's id; an extension of the request.
#[derive(Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Gives the call an id, and puts it into the response.
pub(super) struct AssignRequestId(pub(super) Arc<dyn Entropy>);

impl AssignRequestId {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        let id = self.id(request.headers());
        request.extensions_mut().insert(RequestId(id.clone()));
        let mut response = next.run(request).await;
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// The caller's own id, if it is safe to log, or a new one.
    fn id(&self, headers: &HeaderMap) -> HeaderValue {
        let fits = |id: &&HeaderValue| {
            let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            (1..=64).contains(&id.len()) && id.as_bytes().iter().all(allowed)
        };
        headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
            let id = Uuid4::random(self.0.bytes());
            HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
        })
    }
}
