//! What is written of a call: what it asks for, who makes it, and what it is allowed with.

use std::time::Duration;

use super::Caller;
use crate::{
    audit::{Decision, Line},
    clock::UnixMillis,
    issuer::{Ask, Permit},
    keyring::Project,
    methods::Rpc,
    token::Lifetime,
};

/// What is written of a call beside who made it.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) ask: Ask<'a>,
    /// The room or task that the call names.
    pub(super) uuid: &'a str,
    /// How many tokens a batch asks for.
    pub(super) batch: Option<usize>,
}

impl<'a> Entry<'a> {
    /// Of a call that names no room, no task and no batch.
    pub(super) const fn of(ask: Ask<'a>) -> Self {
        Self { ask, uuid: "", batch: None }
    }
}

/// What a creating call led to.
pub(super) struct Created {
    /// The room or task.
    pub(super) uuid: String,
    /// The key that created it.
    pub(super) access_key: String,
}

/// Whether what a call does is written down: what mints or changes something.
pub(super) const fn is_audited(rpc: Rpc) -> bool {
    match rpc {
        Rpc::IssueToken
        | Rpc::BatchIssueTokens
        | Rpc::CreateRoom
        | Rpc::DisableRoom
        | Rpc::EnableRoom
        | Rpc::AddScenes
        | Rpc::SwitchScene
        | Rpc::CaptureScene
        | Rpc::CaptureSceneDir
        | Rpc::StartConversion
        | Rpc::CancelConversion
        | Rpc::PrioritizeConversion => true,
        Rpc::VerifyToken
        | Rpc::GetRoom
        | Rpc::ListRooms
        | Rpc::ListScenes
        | Rpc::GetConversion
        | Rpc::WatchConversion
        | Rpc::ListPendingConversions => false,
    }
}

/// What all have in common.
pub(super) fn same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|next| next == first).then_some(first)
}

/// Who makes a call, as a line has it.
pub(super) struct Context<'a> {
    caller: &'a Caller,
    peer: String,
    trace_id: String,
}

impl<'a> Context<'a> {
    pub(super) fn of(caller: &'a Caller) -> Self {
        Self { caller, peer: caller.peer(), trace_id: caller.trace_id() }
    }

    pub(super) fn line(&self, time: UnixMillis, rpc: Rpc, decision: Decision) -> Line<'_> {
        Line {
            request_id: &self.caller.request_id,
            trace_id: &self.trace_id,
            principal: self.caller.principal.as_str(),
            peer: &self.peer,
            ..Line::new(time, rpc.name(), decision)
        }
    }
}

/// What a call is allowed with; of a batch what its tokens have in common, the strongest role and the
/// longest life among them.
pub(super) fn of_permits<'a>(permits: &'a [Permit], line: Line<'a>) -> Line<'a> {
    let mints = || permits.iter().filter_map(|permit| permit.mint);
    let length = |lifetime: &Lifetime| lifetime.as_duration().unwrap_or(Duration::MAX);
    Line {
        project: same(permits.iter().map(|permit| permit.project.name())).unwrap_or_default(),
        access_key: same(permits.iter().map(|permit| permit.key.access_key())).unwrap_or_default(),
        kind: same(mints().map(|mint| mint.kind)),
        role: mints().map(|mint| mint.role).min(),
        lifetime: mints().map(|mint| mint.lifetime).max_by_key(length),
        region: same(permits.iter().map(|permit| permit.region)).flatten(),
        grant: same(permits.iter().map(|permit| permit.grant.name())).unwrap_or_default(),
        ..line
    }
}

/// What a call asks for that is not allowed, in the project that it means.
pub(super) fn of_ask<'a>(ask: &Ask<'a>, project: Option<&'a Project>, line: Line<'a>) -> Line<'a> {
    let default_region = project.and_then(Project::region).filter(|_| ask.rpc.goes_upstream());
    Line {
        project: project.map_or(ask.project, Project::name),
        access_key: ask.access_key,
        kind: ask.mint.map(|mint| mint.kind),
        role: ask.mint.map(|mint| mint.role),
        lifetime: ask.mint.and_then(|mint| mint.lifetime),
        region: ask.region.or(default_region),
        ..line
    }
}
