//! What every request passes before and after its call: the limit of its body, the record of it,
//! faults on demand, and the shape of a failure.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Emulator,
    answer::Failure,
    auth::{DEFAULT_REGION, header},
    faults::{Effect, Stopped},
};

/// The most bytes of a body that are taken.
const BODY_LIMIT: usize = 1024 * 1024;

/// The outermost layer.
pub(super) async fn pass(State(emulator): State<Emulator>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.ok();
    let effect = emulator.receive(&parts, body.as_ref());
    let region = header(&parts.headers, "region").unwrap_or(DEFAULT_REGION.as_str()).to_owned();
    let stopped = parts.extensions.get::<Stopped>().cloned();

    let response = match (effect.and_then(Effect::instead), body) {
        (Some(response), _) => response,
        (None, Some(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        (None, None) => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large").into_response(),
    };
    let response = emulator.render(response, &region);
    match effect {
        Some(effect) => effect.spoil(response, stopped).await,
        None => response,
    }
}

impl Emulator {
    /// Records a request to one of the vendor's paths, and says what is to happen to it.
    fn receive(&self, parts: &Parts, body: Option<&Bytes>) -> Option<Effect> {
        let path = parts.uri.path();
        if path.starts_with("/_emulator/") {
            return None;
        }
        let mut world = self.world();
        world.requests.record(parts, body.map(|body| &**body));
        world.faults.take(&parts.method, path)
    }

    /// Gives a failure its body.
    fn render(&self, mut response: Response, region: &str) -> Response {
        let Some(failure) = response.extensions_mut().remove::<Failure>() else {
            return response;
        };
        let world = self.world();
        failure.render(world.settings.error_shape, region, &world.new_uuid())
    }
}
