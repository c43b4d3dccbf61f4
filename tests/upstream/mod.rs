//! The way to the upstream, and what may happen on it: connections, TLS, proxies, regions, and broken answers.

mod answers;
mod connecting;
mod failures;
mod http2;
mod metrics;
pub(crate) mod peer;
mod proxies;
pub(crate) mod proxy;
mod regions;
mod repeats;
pub(crate) mod tls;

use std::{net::SocketAddr, sync::Arc};

use inkpass::{
    clock::{Clock, ManualClock, SystemClock, UnixMillis},
    outgoing::{Roots, Route},
    proto::{CreateRoomRequest, CreateRoomResponse, GetRoomRequest, GetRoomResponse},
    whiteboard::Settings,
};
use tonic::{Request, Status};

use crate::helpers::{NOW, Setup, World, ca::Ca, upstream::Upstream};

const ROOM: &str = r#"{"uuid":"r1","teamUUID":"t","appUUID":"a"}"#;

/// A service with this upstream.
pub(crate) async fn world(
    upstream: SocketAddr,
    adjust: impl FnOnce(Settings) -> Settings + Send + 'static,
) -> World {
    let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
    let setup = Setup { whiteboard: Some(Box::new(adjust)), ..Setup::default() };
    setup.in_front_of(Upstream::new(upstream), clock).await
}

/// The same over TLS, through no proxy, where this CA is trusted.
async fn tls_world(upstream: SocketAddr, ca: &Ca) -> World {
    let roots = Some(roots(ca));
    world(upstream, move |settings| Settings {
        base_url: https(upstream),
        roots,
        route: Route::Direct,
        ..settings
    })
    .await
}

fn https(address: SocketAddr) -> url::Url {
    format!("https://{address}").parse().unwrap()
}

fn roots(ca: &Ca) -> Roots {
    Roots::load(&ca.path("ca.crt"), SystemClock.now()).unwrap()
}

async fn create(world: &World) -> Result<CreateRoomResponse, Status> {
    world.client.rooms().create_room(CreateRoomRequest::default()).await.map(tonic::Response::into_inner)
}

/// With so long to wait.
async fn create_within(world: &World, timeout_ms: u64) -> Result<CreateRoomResponse, Status> {
    let mut request = Request::new(CreateRoomRequest::default());
    request.metadata_mut().insert("grpc-timeout", format!("{timeout_ms}m").parse().unwrap());
    world.client.rooms().create_room(request).await.map(tonic::Response::into_inner)
}

async fn read(world: &World) -> Result<GetRoomResponse, Status> {
    let request = GetRoomRequest { uuid: "r1".to_owned(), ..Default::default() };
    world.client.rooms().get_room(request).await.map(tonic::Response::into_inner)
}
