//! The emulator, called as the whiteboard API is called: over loopback, with real tokens.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod access;
mod browsers;
mod controls;
mod conversions;
mod flat_server;
mod rooms;
mod scenes;
mod tokens;
mod webhooks;

use std::{sync::Arc, time::Duration};

use inkpass::{
    clock::{Clock, ManualClock, UnixMillis},
    emulator::{Emulator, Project, Settings},
    entropy::CountingEntropy,
    token::{Claims, Kind, Lifetime, Nonce, Role, Scope, SigningKey, Uuid},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::helpers::canary::secret_of;

/// 2026-09-21T14:13:20Z.
const NOW: u64 = 1_790_000_000_000;

/// An emulator on a port of its own, with the projects `one` (access keys `one-a` and `one-b`) and
/// `two` (access key `two-a`), at [`NOW`].
pub(crate) struct Whiteboard {
    base_url: String,
    client: Client,
    clock: Arc<ManualClock>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

/// What came back.
pub(crate) struct Answer {
    status: u16,
    pub(crate) body: Value,
}

fn key(access_key: &str) -> SigningKey {
    SigningKey::new(access_key, secret_of(access_key).as_bytes()).unwrap()
}

/// A token that lives for an hour.
fn token_of(access_key: &str, kind: Kind, uuid: &str, role: Role) -> String {
    let scope = match kind {
        Kind::Sdk => Scope::Sdk,
        Kind::Room => Scope::Room(Uuid::new(uuid).unwrap()),
        Kind::Task => Scope::Task(Uuid::new(uuid).unwrap()),
    };
    let ttl = Lifetime::ttl(Duration::from_hours(1)).unwrap();
    let claims = Claims { scope, role, expire_at: ttl.expire_at(UnixMillis::new(NOW).unwrap()).unwrap() };
    key(access_key).sign(&claims, &Nonce::random([7; 16])).expose().to_owned()
}

/// An SDK token of project `one`.
pub(crate) fn sdk(role: Role) -> String {
    token_of("one-a", Kind::Sdk, "", role)
}

impl Whiteboard {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let project = |name: &str, keys: &[&str]| Project {
            name: name.into(),
            keys: keys.iter().map(|name| Arc::new(key(name))).collect(),
        };
        let projects = vec![project("one", &["one-a", "one-b"]), project("two", &["two-a"])];
        let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let emulator = Emulator::new(projects, shared, Arc::new(CountingEntropy::default()), settings);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move { emulator.serve(listener, async { _ = stopped.await }).await });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { base_url, client, clock, stop: Some(stop), server }
    }

    /// Sends a request as it is: for headers and bodies that [`Whiteboard::call`] would not send.
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base_url))
    }

    /// Calls in region `eu`.
    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.call_in("eu", method, path, token, body).await
    }

    async fn call_in(&self, region: &str, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let request = self.request(method, path).header("token", token).header("region", region);
        read(if body.is_null() { request } else { request.body(body.to_string()) }).await
    }

    /// Uses one of the emulator's own controls.
    async fn control(&self, method: &str, name: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/_emulator/{name}"));
        read(if body.is_null() { request } else { request.body(body.to_string()) }).await
    }

    /// A new room of project `one` in region `eu`: its uuid.
    pub(crate) async fn room(&self) -> String {
        self.call("POST", "/v5/rooms", &sdk(Role::Writer), json!({})).await.text("uuid")
    }

    /// A new conversion of project `one` in region `eu`: its uuid.
    pub(crate) async fn task(&self, body: Value) -> String {
        let answer = self.call("POST", "/v5/projector/tasks", &sdk(Role::Writer), body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.text("uuid")
    }

    /// What a query of a conversion shows.
    async fn query(&self, task: &str) -> Value {
        let path = format!("/v5/projector/tasks/{task}");
        let token = token_of("one-a", Kind::Task, task, Role::Reader);
        self.call("GET", &path, &token, Value::Null).await.body
    }

    pub(crate) fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Stops the emulator and waits until it has ended.
    async fn stop(mut self) {
        drop(self.stop.take());
        drop(self.client);
        self.server.await.unwrap().unwrap();
    }
}

impl Answer {
    fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap().to_owned()
    }

    /// Asserts a failure in the documented shape.
    fn is(&self, status: u16, message: &str) {
        assert_eq!((self.status, &self.body["message"]), (status, &json!(message)), "{}", self.body);
    }
}

/// Every answer is JSON, and says so.
async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let is_json = response.headers().get("content-type").is_some_and(|value| value == "application/json");
    let bytes = response.bytes().await.unwrap();
    assert!(is_json, "{status} {}", String::from_utf8_lossy(&bytes));
    Answer { status, body: serde_json::from_slice(&bytes).unwrap() }
}
