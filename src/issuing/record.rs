//! What the audit trail says of a call. A refusal, a decision and an outcome are lines of one record.

use std::time::Duration;

use super::{Authorizer, Issued, MintPermit, UpstreamPermit};
use crate::{
    audit::{Decision, Line, Phase},
    call::CallContext,
    clock::UnixMillis,
    error::{Error, Reason, Withheld},
    keyring::Project,
    methods::{Action, Rpc},
    policy::Mint,
    region::Region,
    token::{Fingerprint, Lifetime},
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
    pub(super) peer: String,
    pub(super) trace_id: String,
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
    pub fn new(call: &'a CallContext, rpc: Rpc, uuid: &'a str) -> Self {
        let peer = call.peer.map(|peer| peer.to_string()).unwrap_or_default();
        Self { call, rpc, uuid, batch: None, peer, trace_id: call.trace_id() }
    }

    fn line(&self, time: UnixMillis) -> Line<'_> {
        Line {
            request_id: &self.call.request_id,
            trace_id: &self.trace_id,
            principal: self.call.principal.as_str(),
            peer: &self.peer,
            uuid: self.uuid,
            batch: self.batch,
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

impl Authorizer {
    /// Records a refusal of what a call asks for, and gives it back; if it cannot be recorded, that.
    pub(super) async fn deny(
        &self,
        record: &Record<'_>,
        (project, access_key): (&str, &str),
        region: Option<Region>,
        mint: Option<Mint>,
        error: Error,
    ) -> Error {
        if !record.rpc.row().audited {
            return error;
        }
        let known = self.project(project);
        let default_region =
            known.as_deref().and_then(Project::region).filter(|_| record.rpc.goes_upstream());
        let line = Line {
            project: known.as_deref().map_or(project, Project::name),
            access_key,
            kind: mint.map(|mint| mint.kind),
            role: mint.map(|mint| mint.role),
            lifetime: mint.and_then(|mint| mint.lifetime),
            region: region.or(default_region),
            ..record.line(self.stability.wall_time())
        };
        self.deny_line(record, line, error).await
    }

    /// The same, of what the policy would have allowed.
    pub(super) async fn deny_line(&self, record: &Record<'_>, line: Line<'_>, error: Error) -> Error {
        if !record.rpc.row().audited {
            return error;
        }
        let reason = error.explain().reason.name();
        let line = Line { decision: Decision::Deny, reason, ..line };
        self.write(&line).await.err().unwrap_or(error)
    }

    /// Records that tokens were minted, in one line.
    pub(super) async fn allow_mints(
        &self,
        record: &Record<'_>,
        permits: &[MintPermit],
        issued: &[Issued<'_>],
    ) -> Result<(), Error> {
        let fingerprints: Vec<_> = issued.iter().map(|issued| issued.fingerprint).collect();
        let line = Line {
            expire_at: same(issued.iter().map(|issued| issued.expire_at)).flatten(),
            fingerprints: &fingerprints,
            ..record.mints(self.stability.wall_time(), permits)
        };
        self.write(&line).await
    }

    /// Records that a call may go upstream, before it does.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`]; nothing may be sent then.
    pub(super) async fn record_decision(
        &self,
        record: &Record<'_>,
        permit: &UpstreamPermit,
    ) -> Result<(), Error> {
        let row = record.rpc.row();
        if !row.audited {
            return Ok(());
        }
        let creates = matches!(row.action, Action::Creates(_));
        let line = record.upstream(self.stability.wall_time(), permit);
        self.write(&Line { phase: creates.then_some(Phase::Decision), ..line }).await
    }

    /// Records what a creating call has made, and the token for it. A token whose line cannot be
    /// written is withheld; what was made is true all the same, and recorded as soon as that is possible.
    ///
    /// # Errors
    /// [`Withheld::AuditUnavailable`], if there is a token.
    pub(crate) async fn record_outcome(
        &self,
        record: &Record<'_>,
        permit: &UpstreamPermit,
        made: &impl Made,
        issued: Option<&Issued<'_>>,
    ) -> Result<(), Withheld> {
        let line = self.outcome(record, permit, Some(made));
        let Some(Issued { expire_at, fingerprint, .. }) = issued else {
            self.note(&line).await;
            return Ok(());
        };
        let fingerprints: [Fingerprint; 1] = [*fingerprint];
        let with_token = Line { expire_at: *expire_at, fingerprints: &fingerprints, ..line };
        if self.write(&with_token).await.is_ok() {
            return Ok(());
        }
        self.note(&Line { reason: Reason::AuditUnavailable.name(), ..line }).await;
        Err(Withheld::AuditUnavailable)
    }

    /// Records why a creating call gives nothing, and what it has made all the same. No call is refused
    /// for it.
    pub(crate) async fn record_failure(
        &self,
        record: &Record<'_>,
        permit: &UpstreamPermit,
        made: Option<&impl Made>,
        error: Error,
    ) -> Error {
        let reason = error.explain().reason.name();
        self.note(&Line { reason, ..self.outcome(record, permit, made) }).await;
        error
    }

    fn outcome<'l>(
        &self,
        record: &'l Record<'_>,
        permit: &'l UpstreamPermit,
        made: Option<&'l impl Made>,
    ) -> Line<'l> {
        Line {
            phase: Some(Phase::Outcome),
            uuid: made.map_or("", Made::uuid),
            access_key: made.map_or("", Made::access_key),
            ..record.upstream(self.stability.wall_time(), permit)
        }
    }
}

/// What all have in common.
pub(super) fn same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|next| next == first).then_some(first)
}
