//! A call of the REST API, before it is signed and sent.

use reqwest::Method;
use serde_json::Value;

use super::{access::PathUuid, authority::Authority};
use crate::methods::{Resource, Rpc};

/// A call of the REST API.
pub(super) struct Call<'a> {
    /// The RPC that makes the call: whether it may be repeated follows from it.
    pub(super) rpc: Rpc,
    pub(super) method: Method,
    /// The path, `/v5/…`, with `{uuid}` for that of a room or conversion.
    pub(super) template: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) authority: Authority<'a>,
    /// What may be missing: the meaning of a 404.
    pub(super) resource: Resource,
}

impl<'a> Call<'a> {
    pub(super) fn new(rpc: Rpc, method: Method, template: &'static str, authority: Authority<'a>) -> Self {
        let resource = rpc.row().resource;
        Self { rpc, method, template, path: template.to_owned(), body: None, authority, resource }
    }

    /// Names the room or conversion in the path.
    pub(super) fn at(self, uuid: PathUuid<'_>) -> Self {
        Self { path: self.template.replace("{uuid}", uuid.as_str()), ..self }
    }

    /// Adds a query, which is escaped already.
    pub(super) fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    pub(super) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Names a resource outside the path, which may be missing.
    pub(super) fn names(self, resource: Resource) -> Self {
        Self { resource, ..self }
    }
}
