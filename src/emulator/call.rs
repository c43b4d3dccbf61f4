//! A request, as far as handlers may see it.

use std::collections::HashMap;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequestParts, Query, RawPathParams, Request},
    http::{HeaderMap, Uri},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{answer::ApiError, headers};
use crate::clock::UnixMillis;

/// A request that was read whole.
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    pub(super) now: UnixMillis,
    uri: Uri,
    parameters: HashMap<String, String>,
    body: Bytes,
}

impl Call {
    pub(super) async fn read(request: Request, now: UnixMillis) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let parameters = RawPathParams::from_request_parts(&mut parts, &())
            .await
            .map_err(|rejection| ApiError::invalid(rejection.body_text()))?
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // The outermost layer has read it already, and limited it.
        let body = to_bytes(body, usize::MAX).await.map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(Self { headers: parts.headers, now, uri: parts.uri, parameters, body })
    }

    /// A parameter of the path.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The room in the path.
    pub(super) fn room(&self) -> &str {
        self.parameter("room").unwrap_or_default()
    }

    /// The task in the path.
    pub(super) fn task(&self) -> &str {
        self.parameter("task").unwrap_or_default()
    }

    /// The parameters after `?`.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let Query(query) =
            Query::try_from_uri(&self.uri).map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
        Ok(query)
    }

    /// The JSON body, an object; none at all is an empty one. A field that is null is left out: of that the vendor's pages
    /// say nothing, and clients write what they have not so.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        // By way of a map: an array would otherwise pass for a struct.
        serde_json::from_slice::<Map<String, Value>>(body)
            .map(|fields| fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
            .and_then(|fields| T::deserialize(Value::Object(fields)))
            .map_err(|error| ApiError::invalid(error.to_string()))
    }

    /// The region header, for calls that take no token.
    pub(super) fn check_region(&self) -> Result<(), ApiError> {
        headers::region(&self.headers).map(drop)
    }
}
