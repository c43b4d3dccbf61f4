//! The layer around every call: it limits the body, records the request, injects faults and renders
//! errors.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    answer::ApiError,
    control_access, cors,
    faults::{FaultAction, Stopped},
    headers::{DEFAULT_REGION, header},
    shared::Shared,
};

/// The largest body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Where the emulator's own controls are. All other paths are the vendor's.
const CONTROLS: &str = "/_emulator/";

/// The outermost layer.
pub(super) async fn around_each_call(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_vendor_s = !parts.uri.path().starts_with(CONTROLS);
    if is_vendor_s && cors::is_preflight(&parts) {
        return cors::preflight(&parts);
    }
    let region = header(&parts.headers, "region").unwrap_or(DEFAULT_REGION.as_str()).to_owned();
    if !is_vendor_s && let Err(refusal) = control_access::check(&parts) {
        return shared.render(refusal.into_response(), &region);
    }
    let body = to_bytes(body, BODY_LIMIT).await.ok();
    let effect = if is_vendor_s { shared.receive(&parts, body.as_ref()) } else { None };
    let stopped = parts.extensions.get::<Stopped>().cloned();

    let response = match (effect.and_then(FaultAction::instead), body) {
        (Some(response), _) => response,
        (None, Some(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        (None, None) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large").into_response(),
    };
    let mut response = shared.render(response, &region);
    if is_vendor_s {
        response = cors::allow_any_origin(response);
    }
    match effect {
        Some(effect) => effect.apply(response, stopped).await,
        None => response,
    }
}

impl Shared {
    /// Records a request to one of the vendor's paths, and takes the fault to inject into it.
    fn receive(&self, parts: &Parts, body: Option<&Bytes>) -> Option<FaultAction> {
        let mut world = self.world();
        world.requests.record(parts, body.map(|body| &**body));
        world.faults.take(&parts.method, parts.uri.path())
    }

    /// Gives a failure its body.
    fn render(&self, mut response: Response, region: &str) -> Response {
        let Some(failure) = response.extensions_mut().remove::<ApiError>() else {
            return response;
        };
        let world = self.world();
        failure.render(world.settings.error_shape, region, &world.new_request_id())
    }
}
