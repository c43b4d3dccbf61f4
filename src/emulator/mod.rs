//! A stand-in for the whiteboard API: same paths, same tokens, same errors, and fault injection.
//!
//! It speaks the vendor's REST API as the vendor documents it, verifies every token, and
//! keeps everything in memory. Conversions advance with the [`Clock`] that it is given, so a test
//! decides how fast. It knows nothing of the service around it: of the crate it uses the token core,
//! the clock, the entropy and the regions.
//!
//! It also has controls of its own, JSON over `/_emulator/`, for programs and for no page of a browser:
//!
//! | call | body | does |
//! |---|---|---|
//! | `POST faults` | `method`, `path` (prefix), `count`, `share` (above 0, to 1), `kind` (`status`, `reset`, `truncate`, `html`, `delay`), `status`, `delay_ms` | injects `count` faults (default 1) into the next calls, or into a share of them, then without end if there is no `count` |
//! | `DELETE faults` | | removes the faults |
//! | `GET requests` | | the received requests, without tokens and secret keys |
//! | `GET state` | | projects, rooms with their scenes, tasks |
//! | `POST reset` | | back to the start |
//! | `PUT features` | `region`, `conversion`, `screenshots` | switches features off and on |
//! | `PUT projects` | `access_key`, `state` (`active`, `disabled`, `revoked`) | disables a project, revokes a key, or activates both again |
//!
//! An application's test starts one on a port of its own:
//!
//! ```
//! use std::sync::Arc;
//!
//! use inkpass::{
//!     clock::SystemClock,
//!     emulator::{Emulator, Project, Settings},
//!     entropy::SystemEntropy,
//!     token::{Claims, Nonce, Role, Scope, SigningKey},
//! };
//! use tokio::{net::TcpListener, sync::oneshot};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Arc::new(SigningKey::new("test-access-key", b"test-secret-key")?);
//! let project = Project { name: "test".into(), keys: vec![Arc::clone(&key)] };
//! let emulator =
//!     Emulator::new(vec![project], Arc::new(SystemClock), Arc::new(SystemEntropy), Settings::default());
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let base_url = format!("http://{}", listener.local_addr()?);
//! let (stop, stopped) = oneshot::channel::<()>();
//! let server = tokio::spawn(async move {
//!     emulator.serve(listener, async { _ = stopped.await }).await
//! });
//!
//! // What is under test would get `base_url`; here it is one request.
//! let claims = Claims { scope: Scope::Sdk, role: Role::Writer, expire_at: None };
//! let token = key.sign(&claims, &Nonce::random([7; 16]));
//! let room = reqwest::Client::builder()
//!     .build()?
//!     .post(format!("{base_url}/v5/rooms"))
//!     .header("token", token.expose())
//!     .header("region", "us-sv")
//!     .send()
//!     .await?;
//! assert_eq!(room.status(), 201);
//!
//! drop(stop);
//! server.await??;
//! # Ok(()) }
//! ```

mod answer;
mod auth;
mod call;
mod control_access;
mod conversions;
mod cors;
mod faults;
mod handlers;
mod headers;
mod layer;
mod project;
mod queue;
mod requests;
mod rooms;
mod scenes;
mod settings;
mod shared;
mod task;
mod webhook_hosts;
mod webhooks;
mod world;

use std::{fmt, future::Future, io, sync::Arc, time::Duration};

use axum::{Extension, Router, middleware};
use tokio::{net::TcpListener, sync::watch, time::sleep};

pub use self::{
    project::Project,
    settings::{ErrorShape, Settings},
    webhook_hosts::WebhookHost,
};
use self::{shared::Shared, world::World};
use crate::{clock::Clock, entropy::Entropy};

/// How long a stop waits for the calls under way.
const DRAIN: Duration = Duration::from_secs(2);

/// The emulator. Its clones share one state.
#[derive(Clone)]
pub struct Emulator(Shared);

impl Emulator {
    /// An emulator with these projects and nothing in them. No two keys may have the same access
    /// key.
    #[must_use]
    pub fn new(
        projects: Vec<Project>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Self {
        Self(Shared::new(clock, World::new(projects, entropy, settings)))
    }

    /// All paths, for a server of your own. Only [`Emulator::serve`] sends webhooks.
    pub fn router(&self) -> Router {
        let layer = middleware::from_fn_with_state(self.0.clone(), layer::around_each_call);
        handlers::routes().layer(layer).with_state(self.0.clone())
    }

    /// Serves until `shutdown` ends, then drains the calls under way: injected delays end at once, and a
    /// client that has not sent its whole request after two seconds is disconnected.
    ///
    /// # Errors
    /// As [`axum::serve()`]: none is known.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let (stop, stopped) = watch::channel(());
        let router = self.router().layer(Extension(faults::Stopped(stopped.clone())));
        let mut overdue = stopped.clone();
        let webhooks = tokio::spawn(webhooks::send_due(self.0.clone(), stopped));
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            shutdown.await;
            drop(stop);
        });
        let outcome = tokio::select! {
            outcome = serving => outcome,
            () = async { _ = overdue.changed().await; sleep(DRAIN).await } => Ok(()),
        };
        webhooks.await.map_err(io::Error::other)?;
        outcome
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").finish_non_exhaustive()
    }
}
