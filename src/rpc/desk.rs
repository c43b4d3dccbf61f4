//! Decides what a call asks for, counts it, and writes it down before anything comes of it.
//!
//! A refusal of what would mint or change something is written here. What is allowed is written by
//! [`Desk::allow`]: before it is sent where it goes upstream, and with its fingerprints, before the
//! answer leaves, where it is minted here.

use std::{sync::Arc, time::Duration};

use super::{
    Caller, Error, Reason,
    explain::explain,
    record::{Context, Created, Entry, is_audited, of_permit, same},
};
use crate::{
    audit::{Audit, Decision, Line, Phase},
    clock::UnixMillis,
    issuer::{Issued, Issuer, Permit},
    keyring::Project,
    policy::{Rpc, WatchPlace},
    token::Lifetime,
};

/// What every call passes.
#[derive(Clone)]
pub struct Desk {
    /// Decides, and mints.
    pub issuer: Arc<Issuer>,
    /// Where decisions are written; `None`: nowhere.
    pub audit: Option<Arc<Audit>>,
}

impl Desk {
    /// Decides a call and counts it against its caller's quota.
    pub(super) async fn decide(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
    ) -> Result<(Permit, WatchPlace), Error> {
        let permit = match self.issuer.decide(&caller.principal, &entry.ask) {
            Ok(permit) => permit,
            Err(refusal) => return Err(self.deny(caller, entry, None, refusal.into()).await),
        };
        match self.issuer.charge(&caller.principal, entry.ask.rpc, &permit) {
            Ok(place) => Ok((permit, place)),
            Err(refusal) => Err(self.deny(caller, entry, Some(&permit), refusal.into()).await),
        }
    }

    /// The time to sign by. That it cannot be signed by is a refusal like any other.
    pub(super) async fn now(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permit: &Permit,
    ) -> Result<UnixMillis, Error> {
        match self.issuer.now() {
            Ok(now) => Ok(now),
            Err(refusal) => Err(self.deny(caller, entry, Some(permit), refusal.into()).await),
        }
    }

    /// Writes a refusal down, and gives it back; in its place, that it cannot be written. `permit`: what
    /// the policy would have allowed.
    pub(super) async fn deny(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permit: Option<&Permit>,
        error: Error,
    ) -> Error {
        let Entry { ask, uuid, batch } = *entry;
        if !is_audited(ask.rpc) {
            return error;
        }
        let context = Context::of(caller);
        let line = Line {
            uuid,
            batch,
            reason: explain(&error).0.on_the_wire().0,
            grant: error.grant().unwrap_or_default(),
            ..context.line(self.issuer.wall_time(), ask.rpc, Decision::Deny)
        };
        let project = self.issuer.project(ask.project);
        let line = match permit {
            Some(permit) => of_permit(permit, line),
            None => Line {
                project: project.as_deref().map_or(ask.project, Project::name),
                access_key: ask.access_key,
                kind: ask.mint.map(|mint| mint.kind),
                role: ask.mint.map(|mint| mint.role),
                lifetime: ask.mint.and_then(|mint| mint.lifetime),
                region: ask.region.or_else(|| project.as_ref()?.region().filter(|_| ask.rpc.goes_upstream())),
                ..line
            },
        };
        self.write(&line).await.err().unwrap_or(error)
    }

    /// Writes down that a call is allowed.
    pub(super) async fn allow(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permit: &Permit,
        minted: Option<&Issued>,
    ) -> Result<(), Error> {
        if !is_audited(entry.ask.rpc) {
            return Ok(());
        }
        let context = Context::of(caller);
        let fingerprints: Vec<_> = minted.iter().map(|issued| issued.fingerprint).collect();
        let creates = matches!(entry.ask.rpc, Rpc::CreateRoom | Rpc::StartConversion);
        let line = Line {
            phase: creates.then_some(Phase::Decision),
            uuid: entry.uuid,
            expire_at: minted.and_then(|issued| issued.expire_at),
            fingerprints: &fingerprints,
            ..of_permit(permit, context.line(self.issuer.wall_time(), entry.ask.rpc, Decision::Allow))
        };
        self.write(&line).await
    }

    /// Writes down that a batch is allowed, in one line: what its tokens have in common, the strongest
    /// role and the longest life among them, and every fingerprint.
    pub(super) async fn allow_batch(
        &self,
        caller: &Caller,
        uuid: &str,
        permits: &[Permit],
        minted: &[Issued],
    ) -> Result<(), Error> {
        let context = Context::of(caller);
        let fingerprints: Vec<_> = minted.iter().map(|issued| issued.fingerprint).collect();
        let mints = || permits.iter().filter_map(|permit| permit.mint);
        let length = |lifetime: &Lifetime| lifetime.as_duration().unwrap_or(Duration::MAX);
        let line = Line {
            project: same(permits.iter().map(|permit| permit.project.name())).unwrap_or_default(),
            access_key: same(permits.iter().map(|permit| permit.key.access_key())).unwrap_or_default(),
            grant: same(permits.iter().map(|permit| permit.grant.name())).unwrap_or_default(),
            kind: same(mints().map(|mint| mint.kind)),
            role: mints().map(|mint| mint.role).min(),
            lifetime: mints().map(|mint| mint.lifetime).max_by_key(length),
            uuid,
            batch: Some(minted.len()),
            expire_at: same(minted.iter().map(|issued| issued.expire_at)).flatten(),
            fingerprints: &fingerprints,
            ..context.line(self.issuer.wall_time(), Rpc::BatchIssueTokens, Decision::Allow)
        };
        self.write(&line).await
    }

    /// Writes down what came of a creating call, and the token for what was created or why there is
    /// none. A token whose line cannot be written is to be withheld; all else is true already, and
    /// nothing is refused for it.
    pub(super) async fn outcome(
        &self,
        caller: &Caller,
        rpc: Rpc,
        permit: &Permit,
        created: Option<&Created>,
        outcome: Result<Option<&Issued>, Reason>,
    ) -> Result<(), Error> {
        let context = Context::of(caller);
        let issued = outcome.unwrap_or_default();
        let fingerprints: Vec<_> = issued.iter().map(|issued| issued.fingerprint).collect();
        let line = of_permit(permit, context.line(self.issuer.wall_time(), rpc, Decision::Allow));
        let line = Line {
            phase: Some(Phase::Outcome),
            uuid: created.map_or("", |created| &created.uuid),
            // A repeated request has what the first one led to, whose key it may not be any more.
            access_key: created.map_or(line.access_key, |created| &created.access_key),
            expire_at: issued.and_then(|issued| issued.expire_at),
            reason: outcome.err().map(|reason| reason.on_the_wire().0).unwrap_or_default(),
            fingerprints: &fingerprints,
            ..line
        };
        if issued.is_some() {
            return self.write(&line).await.map_err(|_| Error::OutcomeUnwritten);
        }
        if let Some(audit) = &self.audit {
            audit.note(&line).await;
        }
        Ok(())
    }

    async fn write(&self, line: &Line<'_>) -> Result<(), Error> {
        let Some(audit) = &self.audit else { return Ok(()) };
        audit.write(line).await.map_err(|_| Error::AuditUnavailable)
    }
}
