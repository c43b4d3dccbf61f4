//! Authorization: the policy's decision and the quota, as a permit that says with what the call is
//! made.

use std::time::Instant;

use super::{Authorizer, IssueParams, MintPermit, Minting, Record, UpstreamParams, UpstreamPermit};
use crate::{
    audit::Line,
    call::CallContext,
    caller::Principal,
    error::Error,
    keyring::Keyring,
    methods::Rpc,
    policy::{Denial, Rules, WatchPlace, charge_batch},
    whiteboard::Access,
};

impl Authorizer {
    /// Authorizes a call that goes upstream, counts it against its caller's quota, and records the
    /// decision before anything is sent. The watch slot is kept for as long as the call watches.
    ///
    /// # Errors
    /// What the policy, the project's keys, the quota or the audit trail refuse.
    pub async fn authorize(
        &self,
        record: &Record<'_>,
        params: &UpstreamParams<'_>,
    ) -> Result<(UpstreamPermit, WatchPlace), Error> {
        let Record { call: CallContext { principal, .. }, rpc, .. } = *record;
        let decided = decide_upstream(&self.keyring.now(), &self.rules.now(), principal, rpc, params);
        let permit = match decided {
            Ok(permit) => permit,
            Err(error) => {
                let UpstreamParams { project, access_key, region, token_grant } = *params;
                return Err(self.deny(record, (project, access_key), region, token_grant, error).await);
            }
        };
        let cost = rpc.cost(u32::from(permit.token_grant.is_some()));
        let slot = match permit.grant.charge(principal.as_str(), cost, Instant::now()) {
            Ok(slot) => slot,
            Err(exceeded) => {
                let line = record.upstream(self.stability.wall_time(), &permit);
                return Err(self.deny_line(record, line, exceeded.into()).await);
            }
        };
        self.record_decision(record, &permit).await?;
        Ok((permit, slot))
    }

    /// Authorizes every token of a batch before any is signed, by the keys and rules of one moment.
    pub(super) async fn authorize_mints(
        &self,
        record: &Record<'_>,
        params: &[IssueParams<'_>],
    ) -> Result<Vec<MintPermit>, Error> {
        let principal = &record.call.principal;
        let permits = {
            let (keyring, rules) = (self.keyring.now(), self.rules.now());
            let decide = |(index, params)| {
                decide_mint(&keyring, &rules, principal, record.rpc, params).map_err(|error| (index, error))
            };
            params.iter().enumerate().map(decide).collect::<Result<Vec<_>, _>>()
        };
        let permits = match permits {
            Ok(permits) => permits,
            Err((index, error)) => {
                let params = &params[index];
                let record = Record { uuid: params.uuid(), ..record.clone() };
                let error = if record.batch.is_some() { Error::InBatch(index, error.into()) } else { error };
                let named = (params.project, params.access_key);
                return Err(self.deny(&record, named, None, Some(params.mint()), error).await);
            }
        };
        let grants: Vec<_> = permits.iter().map(|permit| &*permit.grant).collect();
        match charge_batch(principal.as_str(), &grants, Instant::now()) {
            Ok(()) => Ok(permits),
            Err(exceeded) => {
                let line = record.mints(self.stability.wall_time(), &permits);
                let grant = &*exceeded.grant.clone();
                Err(self.deny_line(record, Line { grant, ..line }, exceeded.into()).await)
            }
        }
    }
}

fn decide_upstream(
    keyring: &Keyring,
    rules: &Rules,
    principal: &Principal,
    rpc: Rpc,
    params: &UpstreamParams<'_>,
) -> Result<UpstreamPermit, Error> {
    let project = keyring.project(params.project).ok_or(Denial::ProjectUnknown)?;
    // Nothing of a project is looked at before it is known that the caller has a grant for it.
    let admitted = rules.admit(principal.as_str(), project.name())?;
    let region = params
        .region
        .or(project.region())
        .ok_or_else(|| Error::invalid("region", "is required: the project has no default region"))?;
    let decision = admitted.decide(rpc, Some(region), params.token_grant)?;
    let key = project.signing_key(params.access_key).ok_or(Error::AccessKeyUnknown)?;
    Ok(UpstreamPermit {
        project: project.clone(),
        grant: decision.grant.clone(),
        access: Access { key: key.clone(), region },
        token_grant: params.token_grant.map(|mint| Minting::new(mint, decision.grant)),
    })
}

fn decide_mint(
    keyring: &Keyring,
    rules: &Rules,
    principal: &Principal,
    rpc: Rpc,
    params: &IssueParams<'_>,
) -> Result<MintPermit, Error> {
    let project = keyring.project(params.project).ok_or(Denial::ProjectUnknown)?;
    let admitted = rules.admit(principal.as_str(), project.name())?;
    let decision = admitted.decide(rpc, None, Some(params.mint()))?;
    let key = project.signing_key(params.access_key).ok_or(Error::AccessKeyUnknown)?;
    Ok(MintPermit {
        project: project.clone(),
        grant: decision.grant.clone(),
        key: key.clone(),
        minting: Minting::new(params.mint(), decision.grant),
    })
}
