//! The calls: which path does what, and which permission it takes.
//!
//! A handler is a plain function over the state; it awaits nothing and knows no axum. Everything
//! around it is done here, once: parameters, token, region, feature, lock.

use std::collections::HashMap;

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{FromRequestParts, Query, RawPathParams, Request, State},
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
    routing::{MethodFilter, on},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Emulator,
    answer::{Failure, Outcome},
    auth::{self, Caller},
    controls, projector, rooms, scenes, screenshots, tokens,
    world::{Feature, World},
};
use crate::{clock::UnixMillis, token::Permission};

/// A call that takes a token. `{room}` or `{task}` in the path is what a Room or Task token must
/// be bound to.
struct Endpoint(MethodFilter, &'static str, Permission, Option<Feature>, Handler);
type Handler = fn(&mut World, &Call, &Caller) -> Outcome;

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;

const CONVERSION: Option<Feature> = Some(Feature::Conversion);
const SCREENSHOTS: Option<Feature> = Some(Feature::Screenshots);

#[rustfmt::skip]
const ENDPOINTS: [Endpoint; 16] = {
    use Permission as P;
    [
        Endpoint(POST,   "/v5/tokens/rooms/{room}",            P::MintRoomToken,   None,        tokens::mint_room),
        Endpoint(POST,   "/v5/tokens/tasks/{task}",            P::MintTaskToken,   None,        tokens::mint_task),
        Endpoint(POST,   "/v5/rooms",                          P::CreateRoom,      None,        rooms::create),
        Endpoint(GET,    "/v5/rooms",                          P::ListRooms,       None,        rooms::list),
        Endpoint(GET,    "/v5/rooms/{room}",                   P::GetRoom,         None,        rooms::get),
        Endpoint(PATCH,  "/v5/rooms/{room}",                   P::DisableRoom,     None,        rooms::ban),
        Endpoint(GET,    "/v5/rooms/{room}/scenes",            P::ListScenes,      None,        scenes::list),
        Endpoint(POST,   "/v5/rooms/{room}/scenes",            P::AddScene,        None,        scenes::add),
        Endpoint(PATCH,  "/v5/rooms/{room}/scene-state",       P::SwitchScene,     None,        scenes::switch),
        Endpoint(POST,   "/v5/rooms/{room}/screenshots",       P::CaptureScene,    SCREENSHOTS, screenshots::one),
        Endpoint(POST,   "/v5/rooms/{room}/screenshot-list",   P::CaptureSceneDir, SCREENSHOTS, screenshots::all),
        Endpoint(POST,   "/v5/projector/tasks",                P::StartConversion, CONVERSION,  projector::start),
        Endpoint(GET,    "/v5/projector/tasks",                P::StartConversion, CONVERSION,  |w, call, caller| Ok(projector::list(w, call, caller))),
        Endpoint(GET,    "/v5/projector/tasks/{task}",         P::GetConversion,   CONVERSION,  projector::get),
        Endpoint(DELETE, "/v5/projector/tasks/{task}",         P::StartConversion, CONVERSION,  projector::cancel),
        Endpoint(PUT,    "/v5/projector/tasks/{task}/priority", P::StartConversion, CONVERSION, projector::prioritize),
    ]
};

/// A call that takes no token.
struct Open(MethodFilter, &'static str, fn(&mut World, &Call) -> Outcome);

const OPEN: [Open; 8] = [
    Open(POST, "/v5/tokens/teams", tokens::mint_sdk),
    Open(POST, "/_emulator/faults", controls::add_fault),
    Open(DELETE, "/_emulator/faults", |world, _| Ok(controls::clear_faults(world))),
    Open(GET, "/_emulator/requests", |world, _| Ok(controls::requests(world))),
    Open(GET, "/_emulator/state", |world, call| Ok(controls::state(world, call))),
    Open(POST, "/_emulator/reset", |world, _| Ok(controls::reset(world))),
    Open(PUT, "/_emulator/features", controls::switch_features),
    Open(PUT, "/_emulator/projects", controls::set_project_state),
];

/// All paths.
pub(super) fn routes() -> Router<Emulator> {
    let mut router = Router::new();
    for Endpoint(method, path, permission, feature, handler) in ENDPOINTS {
        let handle = move |world: &mut World, call: &Call| {
            let caller = Caller::identify(world, call, permission)?;
            if feature.is_some_and(|feature| !world.is_enabled(caller.place.region, feature)) {
                return Err(Failure::denied("feature not enabled").with_code(2_010_606));
            }
            handler(world, call, &caller)
        };
        router = route(router, method, path, handle);
    }
    for Open(method, path, handle) in OPEN {
        router = route(router, method, path, handle);
    }
    router
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .fallback(async || Failure::not_found("no such path"))
}

fn route<H>(router: Router<Emulator>, method: MethodFilter, path: &str, handle: H) -> Router<Emulator>
where
    H: Fn(&mut World, &Call) -> Outcome + Clone + Send + Sync + 'static,
{
    let handler = async move |State(emulator): State<Emulator>, request: Request| {
        let call = match Call::read(request, emulator.now()).await {
            Ok(call) => call,
            Err(failure) => return failure.into_response(),
        };
        let mut world = emulator.world();
        world.settle(call.now);
        handle(&mut world, &call).into_response()
    };
    router.route(path, on(method, handler))
}

/// A request, as far as handlers may see it.
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    pub(super) now: UnixMillis,
    uri: Uri,
    parameters: HashMap<String, String>,
    body: Bytes,
}

impl Call {
    async fn read(request: Request, now: UnixMillis) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let parameters = RawPathParams::from_request_parts(&mut parts, &())
            .await
            .map_err(|rejection| Failure::invalid(rejection.body_text()))?
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // The outermost layer has read it already, and limited it.
        let body = to_bytes(body, usize::MAX).await.map_err(|error| Failure::invalid(error.to_string()))?;
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
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let Query(query) =
            Query::try_from_uri(&self.uri).map_err(|rejection| Failure::invalid(rejection.body_text()))?;
        Ok(query)
    }

    /// The JSON body, an object; none at all is an empty one.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        // By way of a map: an array would otherwise pass for a struct.
        serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|fields| T::deserialize(Value::Object(fields)))
            .map_err(|error| Failure::invalid(error.to_string()))
    }

    /// The region header, for calls that take no token.
    pub(super) fn check_region(&self) -> Result<(), Failure> {
        auth::region(&self.headers).map(drop)
    }
}
