//! The calls: which path does what, and which permission it takes.
//!
//! A handler is a plain function over the state: it awaits nothing and knows no axum. What all calls
//! share is done here: parameters, token, region, feature, lock.

mod controls;
mod projector;
mod rooms;
mod scenes;
mod screenshots;
mod tokens;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, Uri},
    response::IntoResponse,
    routing::{MethodFilter, on},
};

use super::{
    answer::{Answer, ApiError, CallResult},
    auth::Caller,
    call::Call,
    shared::Shared,
    world::{Feature, World},
};
use crate::token::Permission;

/// A call that takes a token. `{room}` or `{task}` in the path is what a Room or Task token must
/// be bound to.
struct Endpoint(MethodFilter, &'static str, Permission, Option<Feature>, Handler);
type Handler = fn(&mut World, &Call, &Caller) -> CallResult;

const CONVERSION: Option<Feature> = Some(Feature::Conversion);
const SCREENSHOTS: Option<Feature> = Some(Feature::Screenshots);

#[rustfmt::skip]
const ENDPOINTS: [Endpoint; 16] = {
    use MethodFilter as M;
    use Permission as P;
    [
        Endpoint(M::POST,   "/v5/tokens/rooms/{room}",            P::MintRoomToken,   None,        tokens::mint_room),
        Endpoint(M::POST,   "/v5/tokens/tasks/{task}",            P::MintTaskToken,   None,        tokens::mint_task),
        Endpoint(M::POST,   "/v5/rooms",                          P::CreateRoom,      None,        rooms::create),
        Endpoint(M::GET,    "/v5/rooms",                          P::ListRooms,       None,        rooms::list),
        Endpoint(M::GET,    "/v5/rooms/{room}",                   P::GetRoom,         None,        rooms::get),
        Endpoint(M::PATCH,  "/v5/rooms/{room}",                   P::DisableRoom,     None,        rooms::ban),
        Endpoint(M::GET,    "/v5/rooms/{room}/scenes",            P::ListScenes,      None,        scenes::list),
        Endpoint(M::POST,   "/v5/rooms/{room}/scenes",            P::AddScene,        None,        scenes::add),
        Endpoint(M::PATCH,  "/v5/rooms/{room}/scene-state",       P::SwitchScene,     None,        scenes::switch),
        Endpoint(M::POST,   "/v5/rooms/{room}/screenshots",       P::CaptureScene,    SCREENSHOTS, screenshots::one),
        Endpoint(M::POST,   "/v5/rooms/{room}/screenshot-list",   P::CaptureSceneDir, SCREENSHOTS, screenshots::all),
        Endpoint(M::POST,   "/v5/projector/tasks",                P::StartConversion, CONVERSION,  projector::start),
        Endpoint(M::GET,    "/v5/projector/tasks",                P::StartConversion, CONVERSION,  |w, call, caller| Ok(projector::list(w, call, caller))),
        Endpoint(M::GET,    "/v5/projector/tasks/{task}",         P::GetConversion,   CONVERSION,  projector::get),
        Endpoint(M::DELETE, "/v5/projector/tasks/{task}",         P::StartConversion, CONVERSION,  projector::cancel),
        Endpoint(M::PUT,    "/v5/projector/tasks/{task}/priority", P::StartConversion, CONVERSION, projector::prioritize),
    ]
};

/// A call that takes no token.
struct Open(MethodFilter, &'static str, fn(&mut World, &Call) -> CallResult);

const OPEN: [Open; 8] = {
    use MethodFilter as M;
    [
        Open(M::POST, "/v5/tokens/teams", tokens::mint_sdk),
        Open(M::POST, "/_emulator/faults", controls::add_fault),
        Open(M::DELETE, "/_emulator/faults", |world, _| Ok(controls::clear_faults(world))),
        Open(M::GET, "/_emulator/requests", |world, _| Ok(controls::requests(world))),
        Open(M::GET, "/_emulator/state", |world, call| Ok(controls::state(world, call))),
        Open(M::POST, "/_emulator/reset", |world, _| Ok(controls::reset(world))),
        Open(M::PUT, "/_emulator/features", controls::switch_features),
        Open(M::PUT, "/_emulator/projects", controls::set_project_state),
    ]
};

/// All paths.
pub(super) fn routes() -> Router<Shared> {
    let mut router = Router::new();
    for Endpoint(method, path, permission, feature, handler) in ENDPOINTS {
        let handle = move |world: &mut World, call: &Call| {
            let caller = Caller::identify(world, call, permission)?;
            if feature.is_some_and(|feature| !world.is_enabled(caller.partition_key.region, feature)) {
                let team = &world.projects[caller.partition_key.project].app.team_uuid;
                let message = format!("team not registration with uuid: {team}");
                return Err(ApiError::denied(message).with_code(2_010_606));
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
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .fallback(missing_path)
}

async fn missing_path(uri: Uri) -> ApiError {
    if uri.path().starts_with("/v5/services/conversion") {
        let message = "the older conversion service is not emulated: use /v5/projector/tasks";
        return ApiError::new(StatusCode::NOT_IMPLEMENTED, message);
    }
    ApiError::not_found("no such path")
}

fn route<H>(router: Router<Shared>, method: MethodFilter, path: &str, handle: H) -> Router<Shared>
where
    H: Fn(&mut World, &Call) -> CallResult + Clone + Send + Sync + 'static,
{
    let handler = async move |State(shared): State<Shared>, request: Request| {
        let call = match Call::read(request, shared.now()).await {
            Ok(call) => call,
            Err(failure) => return failure.into_response(),
        };
        let mut world = shared.world();
        world.settle(call.now);
        handle(&mut world, &call).into_response()
    };
    router.route(path, on(method, handler))
}
