//! Records refusals, decisions and outcomes in the audit trail, and counts them.

use std::sync::Arc;

use tracing::{Instrument, Span};

use super::{
    Issued, MintPermit, UpstreamPermit,
    record::{Made, Record, same},
};
use crate::{
    audit::{Audit, Decision, Line, Phase},
    clock::UnixMillis,
    error::{Error, Reason, Withheld},
    keyring::Project,
    methods::Action,
    policy::Mint,
    region::Region,
    stability::Stability,
    telemetry::{DecisionMetrics, is_traced, traced_span},
    token::Fingerprint,
};

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
