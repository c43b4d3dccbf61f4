//! Decides what a call asks for, counts it, and writes it down before anything comes of it.
//!
//! A refusal of what would mint or change something is written here. What is allowed is written by
//! [`Desk::allow`]: before it is sent where it goes upstream, and with its fingerprints, before the
//! answer leaves, where it is minted here.

use std::{slice::from_ref, sync::Arc};

use super::{
    Caller, Error, Reason,
    explain::explain,
    record::{Context, Created, Entry, is_audited, of_ask, of_permits, same},
};
use crate::{
    audit::{Audit, Decision, Line, Phase},
    clock::UnixMillis,
    issuer::{Issued, Issuer, Permit},
    methods::Rpc,
    policy::WatchSlot,
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
    ) -> Result<(Permit, WatchSlot), Error> {
        let permit = match self.issuer.decide(&caller.principal, &entry.ask) {
            Ok(permit) => permit,
            Err(refusal) => return Err(self.deny(caller, entry, &[], refusal.into()).await),
        };
        match self.issuer.charge(&caller.principal, entry.ask.rpc, &permit) {
            Ok(place) => Ok((permit, place)),
            Err(refusal) => Err(self.deny(caller, entry, from_ref(&permit), refusal.into()).await),
        }
    }

    /// The time to sign by. That it cannot be signed by is a refusal like any other.
    pub(super) async fn now(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permits: &[Permit],
    ) -> Result<UnixMillis, Error> {
        match self.issuer.now() {
            Ok(now) => Ok(now),
            Err(refusal) => Err(self.deny(caller, entry, permits, refusal.into()).await),
        }
    }

    /// Writes a refusal down, and gives it back; in its place, that it cannot be written. `permits`: what
    /// the policy would have allowed.
    pub(super) async fn deny(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permits: &[Permit],
        error: Error,
    ) -> Error {
        let Entry { ask, uuid, batch } = entry;
        if !is_audited(ask.rpc) {
            return error;
        }
        let context = Context::of(caller);
        let line = context.line(self.issuer.wall_time(), ask.rpc, Decision::Deny);
        let project;
        let line = if permits.is_empty() {
            project = self.issuer.project(ask.project);
            of_ask(ask, project.as_deref(), line)
        } else {
            of_permits(permits, line)
        };
        let line = Line {
            uuid,
            batch: *batch,
            reason: explain(&error).0.name(),
            grant: error.grant().unwrap_or(line.grant),
            ..line
        };
        self.write(&line).await.err().unwrap_or(error)
    }

    /// Writes down that a call is allowed: in one line, whatever it mints.
    pub(super) async fn allow(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        permits: &[Permit],
        minted: &[Issued],
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
            batch: entry.batch,
            expire_at: same(minted.iter().map(|issued| issued.expire_at)).flatten(),
            fingerprints: &fingerprints,
            ..of_permits(permits, context.line(self.issuer.wall_time(), entry.ask.rpc, Decision::Allow))
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
        let line = context.line(self.issuer.wall_time(), rpc, Decision::Allow);
        let line = Line {
            phase: Some(Phase::Outcome),
            uuid: created.map_or("", |created| &created.uuid),
            // A repeated request has what the first one led to, whose key it may not be any more.
            access_key: created.map_or("", |created| &created.access_key),
            expire_at: issued.and_then(|issued| issued.expire_at),
            reason: outcome.err().map(Reason::name).unwrap_or_default(),
            fingerprints: &fingerprints,
            ..of_permits(from_ref(permit), line)
        };
        if issued.is_none() {
            self.note(&line).await;
            return Ok(());
        }
        let written = self.write(&line).await;
        if written.is_err() {
            // What was created stands, and is told of as soon as that is possible.
            let reason = Reason::AuditUnavailable.name();
            self.note(&Line { reason, expire_at: None, fingerprints: &[], ..line }).await;
        }
        written
    }

    async fn note(&self, line: &Line<'_>) {
        if let Some(audit) = &self.audit {
            audit.note(line).await;
        }
    }

    async fn write(&self, line: &Line<'_>) -> Result<(), Error> {
        let Some(audit) = &self.audit else { return Ok(()) };
        audit.write(line).await.map_err(|_| Error::AuditUnavailable)
    }
}
