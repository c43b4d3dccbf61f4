//! What the audit trail says of a call. A refusal, a decision and an outcome are lines of one record.

use std::time::Duration;

use super::{MintPermit, UpstreamPermit};
use crate::{
    audit::{Decision, Line},
    call::CallContext,
    clock::UnixMillis,
    methods::Rpc,
    token::Lifetime,
};

/// What every audit line of a call says: which call it is and who makes it. It is built once.
#[derive(Clone)]
pub struct Record<'a> {
    pub(super) call: &'a CallContext,
    pub(super) rpc: Rpc,
    /// The room or task that the call names.
    pub(super) uuid: &'a str,
    /// How many tokens a batch asks for.
    pub(super) batch: Option<usize>,
    pub(super) trace_id: String,
    pub(super) idempotency_key: &'a str,
    /// Whether what it tells of was an earlier call's doing.
    pub(super) replayed: bool,
}

/// What a call has created.
pub trait Made {
    /// The room or task.
    fn uuid(&self) -> &str;

    /// The key that created it: of a replayed result the first call's.
    fn access_key(&self) -> &str;
}

impl<'a> Record<'a> {
    /// Of a call. `uuid`: the room or task that it names; empty: none.
    #[must_use]
    pub fn new(call: &'a CallContext, rpc: Rpc, uuid: &'a str) -> Self {
        Self { call, rpc, uuid, batch: None, trace_id: call.trace_id(), idempotency_key: "", replayed: false }
    }

    /// With the `request_id` of a creating call; empty: it has none.
    #[must_use]
    pub(crate) const fn with_idempotency_key(mut self, key: &'a str) -> Self {
        self.idempotency_key = key;
        self
    }

    /// From now on it tells of what an earlier call with the same key has made, if it was one.
    #[must_use]
    pub(crate) const fn of_a_replay(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    pub(super) fn line(&self, time: UnixMillis) -> Line<'_> {
        Line {
            request_id: self.call.request_id.as_str(),
            trace_id: &self.trace_id,
            principal: self.call.principal.as_str(),
            peer: &self.call.peer,
            uuid: self.uuid,
            batch: self.batch,
            idempotency_key: self.idempotency_key,
            replayed: self.replayed,
            ..Line::new(time, self.rpc.name(), Decision::Allow)
        }
    }

    /// What a call upstream is allowed with.
    pub(super) fn upstream<'l>(&'l self, time: UnixMillis, permit: &'l UpstreamPermit) -> Line<'l> {
        let minting = permit.token_grant;
        Line {
            project: permit.project.name(),
            access_key: permit.access.key.access_key(),
            kind: minting.map(|minting| minting.kind),
            role: minting.map(|minting| minting.role),
            lifetime: minting.map(|minting| minting.lifetime),
            region: Some(permit.access.region),
            grant: permit.grant.name(),
            ..self.line(time)
        }
    }

    /// What tokens are allowed with: what all have in common, the strongest role and the longest life.
    pub(super) fn mints<'l>(&'l self, time: UnixMillis, permits: &'l [MintPermit]) -> Line<'l> {
        let mintings = || permits.iter().map(|permit| permit.minting);
        let length = |lifetime: &Lifetime| lifetime.as_duration().unwrap_or(Duration::MAX);
        Line {
            project: same(permits.iter().map(|permit| permit.project.name())).unwrap_or_default(),
            access_key: same(permits.iter().map(|permit| permit.key.access_key())).unwrap_or_default(),
            kind: same(mintings().map(|minting| minting.kind)),
            role: mintings().map(|minting| minting.role).min(),
            lifetime: mintings().map(|minting| minting.lifetime).max_by_key(length),
            grant: same(permits.iter().map(|permit| permit.grant.name())).unwrap_or_default(),
            ..self.line(time)
        }
    }
}

/// What all have in common.
pub(super) fn same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|next| next == first).then_some(first)
}
