//! What the audit trail says of a call. A refusal, a decision and an outcome are lines of one record.

use std::{sync::Arc, time::Duration};

use tracing::{Instrument, Span};

use super::{Issued, MintPermit, UpstreamPermit};
use crate::{
    audit::{Audit, Decision, Line, Phase},
    call::CallContext,
    clock::UnixMillis,
    error::{Error, Reason, Withheld},
    keyring::Project,
    methods::{Action, Rpc},
    policy::Mint,
    region::Region,
    stability::Stability,
    telemetry::{DecisionMetrics, is_traced, traced_span},
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

    fn line(&self, time: UnixMillis) -> Line<'_> {
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
    fn upstream<'l>(&'l self, time: UnixMillis, permit: &'l UpstreamPermit) -> Line<'l> {
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
    fn mints<'l>(&'l self, time: UnixMillis, permits: &'l [MintPermit]) -> Line<'l> {
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

/// Writes the lines of records to the audit trail.
pub struct Trail {
    /// `None`: there is no audit trail, and nothing is written.
    pub audit: Option<Arc<Audit>>,
    /// The time of a line.
    pub stability: Arc<Stability>,
    /// `None`: nobody asks for them.
    pub metrics: Option<DecisionMetrics>,
}

/// What a call asked for that is refused.
pub(super) struct Refused<'a> {
    pub(super) project: &'a str,
    pub(super) access_key: &'a str,
    pub(super) region: Option<Region>,
    pub(super) mint: Option<Mint>,
}

impl Trail {
    /// Records a refusal of what a call asks for, in the project that it means, and gives it back; if it
    /// cannot be recorded, that.
    pub(super) async fn deny(
        &self,
        record: &Record<'_>,
        refused: &Refused<'_>,
        project: Option<&Project>,
        error: Error,
    ) -> Error {
        let Refused { mint, .. } = *refused;
        let default_region = project.and_then(|project| project.region_of(record.rpc));
        let line = Line {
            project: project.map_or(refused.project, Project::name),
            access_key: refused.access_key,
            kind: mint.map(|mint| mint.kind),
            role: mint.map(|mint| mint.role),
            lifetime: mint.and_then(|mint| mint.lifetime),
            region: refused.region.or(default_region),
            ..record.line(self.now())
        };
        self.deny_line(record, &line, error).await
    }

    /// Records a refusal of tokens that the policy would have allowed.
    pub(super) async fn deny_mints(
        &self,
        record: &Record<'_>,
        permits: &[MintPermit],
        error: Error,
    ) -> Error {
        self.deny_line(record, &record.mints(self.now(), permits), error).await
    }

    /// Records a refusal of a call that the policy would have allowed.
    pub(super) async fn deny_upstream(
        &self,
        record: &Record<'_>,
        permit: &UpstreamPermit,
        error: Error,
    ) -> Error {
        self.deny_line(record, &record.upstream(self.now(), permit), error).await
    }

    async fn deny_line(&self, record: &Record<'_>, line: &Line<'_>, error: Error) -> Error {
        describe(line);
        let error = if record.rpc.row().audited { self.write_denial(line, error).await } else { error };
        self.count(Some(&error));
        error
    }

    async fn write_denial(&self, line: &Line<'_>, error: Error) -> Error {
        let reason = error.explain().reason.name();
        // Of several grants of a batch, the one whose quota is used up.
        let grant = if let Error::QuotaExceeded(exceeded) = &error { &exceeded.grant } else { line.grant };
        let line = Line { decision: Decision::Deny, reason, grant, ..*line };
        self.write(&line).await.err().unwrap_or(error)
    }

    /// Counts a decision as its caller is told it; `None`: it is allowed.
    pub(super) fn count(&self, refusal: Option<&Error>) {
        let Some(metrics) = &self.metrics else { return };
        let Some(error) = refusal else { return metrics.allowed() };
        metrics.denied(error.explain().reason.name());
        if let Error::QuotaExceeded(exceeded) = error {
            metrics.quota_refused(exceeded.what.into());
        }
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
            ..record.mints(self.now(), permits)
        };
        describe(&line);
        let written = self.write(&line).await;
        self.count(written.as_ref().err());
        written?;
        for (permit, issued) in permits.iter().zip(issued) {
            permit.project.minted().count(issued.scope.kind(), issued.role);
        }
        Ok(())
    }

    /// Records that a call may go upstream, before it does.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`]; nothing may be sent then.
    pub async fn record_decision(&self, record: &Record<'_>, permit: &UpstreamPermit) -> Result<(), Error> {
        let row = record.rpc.row();
        let line = record.upstream(self.now(), permit);
        describe(&line);
        let written = if row.audited {
            let creates = matches!(row.action, Action::Creates(_));
            self.write(&Line { phase: creates.then_some(Phase::Decision), ..line }).await
        } else {
            Ok(())
        };
        self.count(written.as_ref().err());
        written
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
        let Some(Issued { expire_at, fingerprint, scope, role, .. }) = issued else {
            self.note(&line).await;
            return Ok(());
        };
        let fingerprints: [Fingerprint; 1] = [*fingerprint];
        let with_token = Line { expire_at: *expire_at, fingerprints: &fingerprints, ..line };
        if self.write(&with_token).await.is_ok() {
            permit.project.minted().count(scope.kind(), *role);
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
            ..record.upstream(self.now(), permit)
        }
    }

    /// The time, whether or not it can be signed by.
    fn now(&self) -> UnixMillis {
        self.stability.wall_time()
    }

    /// Done once the line is accepted.
    async fn write(&self, line: &Line<'_>) -> Result<(), Error> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let written = audit.write(line).instrument(traced_span!("audit")).await;
        written.map_err(|_| Error::AuditUnavailable)
    }

    /// For what has happened already: no call is refused for it.
    async fn note(&self, line: &Line<'_>) {
        if let Some(audit) = &self.audit {
            audit.note(line).instrument(traced_span!("audit")).await;
        }
    }
}

/// Adds to the span of a traced call what it is about.
fn describe(line: &Line<'_>) {
    let region = line.region.map_or("", Region::as_str);
    add_to_span(&[
        ("inkpass.project", line.project),
        ("inkpass.region", region),
        ("inkpass.grant", line.grant),
        ("inkpass.access_key", line.access_key),
    ]);
}

/// Adds to the span of a traced call what is not empty.
pub(super) fn add_to_span(attributes: &[(&'static str, &str)]) {
    if !is_traced() {
        return;
    }
    for &(name, value) in attributes.iter().filter(|(_, value)| !value.is_empty()) {
        Span::current().record(name, value);
    }
}

/// What all have in common.
pub(super) fn same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|next| next == first).then_some(first)
}
