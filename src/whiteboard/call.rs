//! A call of the REST API, before it is signed and sent.

use reqwest::Method;
use serde_json::Value;

use super::{access::PathUuid, authority::Authority};
use crate::methods::{Resource, Rpc};

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
