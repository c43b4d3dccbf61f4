//! The headers that calls share.

use axum::http::HeaderMap;

use super::answer::ApiError;
use crate::region::Region;

/// The region of a call that names none: the vendor's own default.
pub(super) const DEFAULT_REGION: Region = Region::CnHz;

/// The region that the call names, or the default one.
pub(super) fn region(headers: &HeaderMap) -> Result<Region, ApiError> {
    if !headers.contains_key("region") {
        return Ok(DEFAULT_REGION);
    }
    let name = header(headers, "region").unwrap_or_default();
    name.parse().map_err(|error| ApiError::invalid(format!("region {error}")))
}

/// A header's value, if it is there and is text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
