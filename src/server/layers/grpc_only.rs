//! Refuses requests that are not gRPC, which tonic would treat as gRPC.

use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use tonic::body::Body;

use super::next::Next;

/// 405 for another method than POST, 415 for another content type than `application/grpc`.
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
