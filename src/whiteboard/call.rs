//! A call of the REST API, before it is signed and when it is.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;

use super::{
    access::{Access, PathUuid},
    answer::Received,
    authority::Authority,
};
use crate::{
    methods::{Action, Resource, Rpc},
    region::Region,
    token::{SigningKey, TokenValue},
};

/// What changes something is not sent if its caller leaves before it could have an answer.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// A call of the REST API: a request, and what its token must permit.
pub(super) struct Call<'a> {
    pub(super) request: Request,
    pub(super) authority: Authority<'a>,
}

/// A request without its token.
pub(super) struct Request {
    /// The RPC that sends it: whether it may be repeated follows from the RPC's row.
    pub(super) rpc: Rpc,
    pub(super) method: Method,
    /// The path, `/v5/…`, with `{uuid}` for that of a room or conversion.
    pub(super) template: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What may be missing: the meaning of a 404.
    pub(super) resource: Resource,
}

/// A request with its token.
pub(super) struct Signed {
    pub(super) request: Request,
    pub(super) token: TokenValue,
    pub(super) key: Arc<SigningKey>,
    pub(super) project: Arc<str>,
    pub(super) region: Region,
    /// When the last of its callers leaves.
    deadline: Mutex<Option<Instant>>,
    last: Mutex<Last>,
    is_logged: AtomicBool,
}

/// The last attempt, for the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    /// 1 the first; 0: there was none.
    pub(super) attempt: u32,
    /// `None`: there was no answer.
    pub(super) status: Option<u16>,
    /// What identifies the failure to the vendor's support; empty if the answer has none.
    pub(super) request_id: String,
}

impl<'a> Call<'a> {
    pub(super) fn new(rpc: Rpc, method: Method, template: &'static str, authority: Authority<'a>) -> Self {
        let (path, resource) = (template.to_owned(), rpc.row().resource);
        Self { request: Request { rpc, method, template, path, body: None, resource }, authority }
    }

    /// Names the room or conversion in the path.
    pub(super) fn at(mut self, uuid: PathUuid<'_>) -> Self {
        self.request.path = self.request.template.replace("{uuid}", uuid.as_str());
        self
    }

    /// Adds a query, which is escaped already.
    pub(super) fn query(mut self, query: &str) -> Self {
        self.request.path = format!("{}?{query}", self.request.path);
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.request.body = Some(body);
        self
    }

    /// Names a resource outside the path, which may be missing.
    pub(super) fn names(mut self, resource: Resource) -> Self {
        self.request.resource = resource;
        self
    }
}

impl Signed {
    pub(super) fn new(access: &Access, request: Request, token: TokenValue) -> Self {
        Self {
            request,
            token,
            key: access.key.clone(),
            project: access.project.clone(),
            region: access.region,
            deadline: Mutex::new(access.deadline),
            last: Mutex::default(),
            is_logged: AtomicBool::new(false),
        }
    }

    /// When the last of its callers leaves; `None`: never.
    pub(super) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more caller waits for it, until then.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) {
        let mut latest = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.zip(deadline).map(|(latest, deadline)| latest.max(deadline));
    }

    /// Whether its failure is logged now for the first time, however many wait for it.
    pub(super) fn is_news(&self) -> bool {
        !self.is_logged.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.request.rpc.row().action, Action::Reads | Action::Watches)
    }

    /// An attempt begins.
    pub(super) fn begin(&self, attempt: u32) {
        *self.last() = Last { attempt, ..Last::default() };
    }

    /// The attempt has an answer.
    pub(super) fn answered(&self, received: &Received) {
        self.last().status = Some(received.status.as_u16());
        if !received.status.is_success() {
            self.failed_with(received);
        }
    }

    /// The answer tells of a failure.
    pub(super) fn failed_with(&self, received: &Received) {
        self.last().request_id = received.error().request_id();
    }

    pub(super) fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether so little is left that an answer would hardly come in time.
pub(super) fn is_late(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|at| at.saturating_duration_since(now) < SHORTEST_WAIT)
}
