//! What every call on a room or conversion that exists refuses alike.

use inkpass::proto::Region;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::helpers::{World, assert_refused};

/// Where something is that exists already.
#[derive(Clone, Default)]
pub(crate) struct Target {
    pub(crate) project: String,
    pub(crate) access_key: String,
    pub(crate) region: i32,
    pub(crate) uuid: String,
}

/// A call, as its refusals are.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    /// Of something in the default project and region.
    pub(crate) uuid: &'a str,
    /// The uuid's field.
    pub(crate) field: &'a str,
    /// The reason where there is no such thing; empty: nothing that could be missing is named.
    pub(crate) missing: &'a str,
    /// Whether the upstream call is a POST.
    pub(crate) is_post: bool,
}

impl Call<'_> {
    /// Tries everything that can be wrong with a target, and every failure of the upstream. `call`
    /// must succeed with a good target, as often as it is made.
    pub(crate) async fn refuses_alike(&self, call: impl AsyncFn(Target) -> Result<(), Status>) {
        self.refuses_bad_targets(&call).await;
        self.refuses_failures(&call).await;
    }

    /// Every failure of the upstream. `call` need not succeed.
    pub(crate) async fn refuses_failures(&self, call: &impl AsyncFn(Target) -> Result<(), Status>) {
        let good = Target { uuid: self.uuid.to_owned(), ..Target::default() };
        let missing = if self.missing.is_empty() {
            (Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER")
        } else {
            (Code::NotFound, self.missing)
        };
        let lost = if self.is_post {
            (Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN")
        } else {
            (Code::Unavailable, "UPSTREAM_UNREACHABLE")
        };
        let unreadable = if self.is_post { lost } else { (Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER") };
        for (status, (code, reason)) in [
            (400, (Code::FailedPrecondition, "UPSTREAM_REFUSED")),
            (401, (Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED")),
            (403, (Code::FailedPrecondition, "UPSTREAM_REFUSED")),
            (404, missing),
            (429, (Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED")),
            (500, lost),
            (503, lost),
        ] {
            let fault = json!({ "path": "/v5", "count": 3, "kind": "status", "status": status });
            self.world.upstream.fault(fault).await;
            let before = self.world.upstream.requests().await.len();
            let refused = call(good.clone()).await.unwrap_err();
            assert_refused(&refused, code, reason, &[]);
            self.world.upstream.clear_faults().await;
            let sent = self.world.upstream.requests().await.split_off(before);
            let is_repeated = sent[0]["method"] == "GET" && [429, 503].contains(&status);
            assert_eq!(sent.len(), if is_repeated { 3 } else { 1 }, "{status}");
        }
        for (kind, (code, reason)) in [("html", unreadable), ("truncate", lost), ("reset", lost)] {
            self.world.upstream.fault(json!({ "path": "/v5", "count": 1, "kind": kind })).await;
            assert_refused(&self.refusal(call, &good, 1).await, code, reason, &[]);
        }
    }

    /// Everything that can be wrong with a target.
    pub(crate) async fn refuses_bad_targets(&self, call: &impl AsyncFn(Target) -> Result<(), Status>) {
        let good = Target { uuid: self.uuid.to_owned(), ..Target::default() };
        for uuid in ["", "a/b", "../a", "a b", "é", "a%2f", &"x".repeat(129)] {
            let bad = Target { uuid: uuid.to_owned(), region: 99, ..Target::default() };
            let refused = self.refusal(call, &bad, 0).await;
            assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["region", self.field]);
        }
        let bad = Target { project: "nobody".into(), ..good.clone() };
        let refused = self.refusal(call, &bad, 0).await;
        assert_refused(&refused, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
        for access_key in ["no-key", "other-key", "verify-only-key"] {
            let bad = Target { access_key: access_key.into(), ..good.clone() };
            let refused = self.refusal(call, &bad, 0).await;
            assert_refused(&refused, Code::NotFound, "ACCESS_KEY_UNKNOWN", &[]);
        }
        let bad = Target { project: "other".into(), ..good.clone() };
        let refused = self.refusal(call, &bad, 0).await;
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["region"]);

        let elsewhere = [
            Target { region: Region::Eu.into(), ..good.clone() },
            Target { project: "other".into(), region: Region::UsSv.into(), ..good.clone() },
            Target { uuid: "nothing-of-that-name".into(), ..good.clone() },
        ];
        for bad in elsewhere {
            let refused = self.refusal(call, &bad, 1).await;
            assert_refused(&refused, Code::NotFound, self.missing, &[]);
        }
        call(Target { access_key: "retiring-key".into(), ..good }).await.unwrap();
    }

    /// How the call is refused, with so many calls of the upstream.
    async fn refusal(
        &self,
        call: &impl AsyncFn(Target) -> Result<(), Status>,
        target: &Target,
        calls: usize,
    ) -> Status {
        let before = self.world.upstream.requests().await.len();
        let refused = call(target.clone()).await.unwrap_err();
        assert_eq!(self.world.upstream.requests().await.len(), before + calls, "{refused:?}");
        assert!(!refused.message().contains('<'), "nothing of an answer is repeated");
        let may_pass = matches!(refused.code(), Code::ResourceExhausted | Code::Unavailable);
        assert_eq!(refused.get_error_details().retry_info().is_some(), may_pass, "{refused:?}");
        assert_eq!(
            refused.metadata().contains_key("grpc-retry-pushback-ms"),
            matches!(refused.code(), Code::Unavailable | Code::Aborted)
        );
        refused
    }
}

/// Method, path, region, and the token's kind and role of what was sent last.
pub(crate) async fn assert_sent(world: &World, method: &str, path: &str, region: &str, token: (&str, &str)) {
    let sent = world.upstream.last().await;
    let seen = ["method", "path", "region", "token_kind", "token_role"].map(|name| sent[name].clone());
    assert_eq!(seen, [method, path, region, token.0, token.1]);
}

/// A URL of so many bytes.
pub(crate) fn url_of(length: usize) -> String {
    format!("{:x<length$}", "https://example.com/")
}
