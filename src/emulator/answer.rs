//! Responses: JSON, and errors in either of their two shapes.
//!
//! A handler only returns what failed. [`ApiError::render`] adds the shape, the region and the request
//! id in one place, so that every error looks the same, a 404 of the router included. This module
//! knows no calls and no state.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::settings::ErrorShape;
use crate::token::TokenError;

/// What a handler returns.
pub(super) type CallResult = Result<Answer, ApiError>;

/// A success.
pub(super) struct Answer(StatusCode, Value);

impl Answer {
    /// The answer to GET, DELETE and PUT.
    pub(super) const fn ok(body: Value) -> Self {
        Self(StatusCode::OK, body)
    }

    /// The answer to POST and PATCH.
    pub(super) const fn created(body: Value) -> Self {
        Self(StatusCode::CREATED, body)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        json_response(self.0, &self.1)
    }
}

/// An error that has no shape yet.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    code: Option<u32>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), code: None }
    }

    /// 400.
    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403.
    pub(super) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Adds one of the vendor's error codes.
    pub(super) fn with_code(self, code: u32) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The response to the client.
    pub(super) fn render(&self, shape: ErrorShape, region: &str, request_id: &str) -> Response {
        let body = match (shape, self.code) {
            (ErrorShape::Documented, None) => json!({"message": self.message}),
            (ErrorShape::Documented, Some(code)) => json!({"message": self.message, "code": code}),
            (ErrorShape::Observed, code) => {
                let mut error = json!({
                    "title": self.message,
                    "messages": [],
                    "requestId": request_id,
                    "region": region,
                    // The real one names the vendor's own hosts and files.
                    "traceStack": ["at handle (/srv/api.emulator.invalid/dist/service.js:112:9)"],
                });
                if let Some(code) = code {
                    error["code"] = code.into();
                }
                json!({"error": error})
            }
        };
        json_response(self.status, &body)
    }
}

impl From<TokenError> for ApiError {
    /// 401 for an invalid token, 403 for one that does not permit the call.
    fn from(error: TokenError) -> Self {
        let status = match error {
            TokenError::Role(_) | TokenError::Room | TokenError::Task => StatusCode::FORBIDDEN,
            TokenError::Malformed
            | TokenError::Legacy
            | TokenError::Expired
            | TokenError::Signature
            | TokenError::Team
            | TokenError::Unknown => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    /// An empty response that carries the error, for the outermost layer to render.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
