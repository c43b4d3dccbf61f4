//! What is not gRPC.

use http::{HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};

/// Refuses requests that are not gRPC, which tonic would treat as gRPC: 405 for another method than
/// POST, 415 for another content type than `application/grpc`.
pub(super) fn refuse_other_protocols<B>(request: &Request<B>) -> Option<StatusCode> {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_grpc = content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
    match (request.method(), is_grpc) {
        (&Method::POST, true) => None,
        (&Method::POST, false) => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => Some(StatusCode::METHOD_NOT_ALLOWED),
    }
}
