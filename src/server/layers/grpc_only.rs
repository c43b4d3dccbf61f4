//! Refuses requests that are not gRPC, which tonic would treat as gRPC.

use std::future::Future;

use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use tonic::body::Body;

use super::{Request, Response};

/// 405 for another method than POST, 415 for another content type than `application/grpc`.
pub(super) struct GrpcOnly;

impl GrpcOnly {
    pub(super) async fn call<F>(&self, request: Request, next: impl FnOnce(Request) -> F + Send) -> Response
    where
        F: Future<Output = Response> + Send,
    {
        let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_grpc = content_type
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
        let status = match (request.method(), is_grpc) {
            (&Method::POST, true) => return next(request).await,
            (&Method::POST, false) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    }
}
