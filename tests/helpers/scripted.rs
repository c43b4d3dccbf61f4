//! An upstream with scripted responses.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use inkpass::clock::{ManualClock, UnixMillis};
use tokio::net::TcpListener;

use super::{ANY_PORT, NOW, Setup, World, upstream::Upstream};

/// Answers every call alike, and keeps the `token` headers.
#[derive(Clone)]
pub(crate) struct Scripted {
    status: u16,
    pub(crate) headers: HeaderMap,
    /// May be changed between calls.
    pub(crate) body: Arc<Mutex<Bytes>>,
    pub(crate) tokens: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Arc::new(Mutex::new(body.into())),
            tokens: Arc::default(),
        }
    }

    pub(crate) async fn start(&self) -> World {
        self.start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(&self, setup: Setup) -> World {
        let answer = async |State(scripted): State<Self>, headers: HeaderMap| {
            scripted.tokens.lock().unwrap().push(headers["token"].to_str().unwrap().to_owned());
            let body = scripted.body.lock().unwrap().clone();
            (StatusCode::from_u16(scripted.status).unwrap(), scripted.headers, body).into_response()
        };
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let upstream = Upstream::new(listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
        setup.in_front_of(upstream, clock).await
    }

    pub(crate) fn count(&self) -> usize {
        self.tokens.lock().unwrap().len()
    }
}
