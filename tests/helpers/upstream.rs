//! The emulator's controls.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::canary;

/// An emulator's address, whether or not one answers there.
pub(crate) struct Upstream {
    address: SocketAddr,
    http: reqwest::Client,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, http: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap() }
    }

    /// Another handle of the same emulator.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.address)
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the emulator received on /v5, oldest first.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/_emulator/requests", self.base_url())).send().await.unwrap();
        let answer = answer.bytes().await.unwrap();
        canary::look_through("what was sent upstream", &answer);
        let requests: Value = serde_json::from_slice(&answer).unwrap();
        requests.as_array().unwrap().clone()
    }

    /// What the emulator received last.
    pub(crate) async fn last(&self) -> Value {
        self.requests().await.pop().unwrap()
    }

    /// One of the emulator's switches.
    pub(crate) async fn put(&self, control: &str, body: Value) {
        let url = format!("{}/_emulator/{control}", self.base_url());
        let answer = self.http.put(url).body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Triggers one of the emulator's actions.
    pub(crate) async fn post(&self, control: &str) {
        let answer = self.http.post(format!("{}/_emulator/{control}", self.base_url())).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Reverts one of the emulator's actions.
    pub(crate) async fn delete(&self, control: &str) {
        let url = format!("{}/_emulator/{control}", self.base_url());
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    /// The next `count` calls of a path fail in this way.
    pub(crate) async fn fault(&self, fault: Value) {
        let answer = self
            .http
            .post(format!("{}/_emulator/faults", self.base_url()))
            .header("content-type", "application/json")
            .body(fault.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// No call fails any more.
    pub(crate) async fn clear_faults(&self) {
        self.delete("faults").await;
    }

    pub(crate) async fn fail_once(&self, path: &str, status: u16) {
        self.fault(json!({ "path": path, "count": 1, "kind": "status", "status": status })).await;
    }
}
