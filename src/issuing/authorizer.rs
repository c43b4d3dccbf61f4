//! The one way of a token: authorized by the policy and the quota, signed, recorded.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;

use super::{
    IssueParams, Issued, MintPermit, Minting, Record, Trail, UpstreamParams, UpstreamPermit, record::same,
    trail::Refused,
};
use crate::{
    call::CallContext,
    clock::UnixMillis,
    entropy::Entropy,
    error::Error,
    keyring::Keyring,
    methods::Rpc,
    policy::{
        Denial, Grant, QuotaExceeded, Rules, SharedQuotas, WatchSlot, charge_batch, charge_batch_shared,
    },
    principal::Principal,
    stability::Stability,
    telemetry::traced_span,
    token::{Claims, Fingerprinter, Nonce, Scope, SigningKey},
    turn::give_way,
    whiteboard::Access,
};

/// After so many signatures a batch gives way to other calls: some 100 µs.
const SLICE: usize = 64;

/// Decides what may be done, mints, verifies and records. Nothing here leaves the process.
pub struct Authorizer {
    /// The keys that sign.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The policy.
    pub rules: Arc<ArcSwap<Rules>>,
    /// The quotas that replicas share; `None`: each has its own.
    pub shared_quotas: Option<SharedQuotas>,
    /// The time, and whether it can be signed by.
    pub stability: Arc<Stability>,
    /// Makes nonces.
    pub entropy: Arc<dyn Entropy>,
    /// Names tokens in the audit trail.
    pub fingerprinter: Fingerprinter,
    /// Where decisions are recorded.
    pub trail: Trail,
}

impl Authorizer {
    /// Mints the tokens that `IssueToken` or `BatchIssueTokens` asks for: all or none, from one reading
    /// of the clock, recorded in one audit line that is written before they are given.
    ///
    /// # Errors
    /// What the policy, the project's keys, the quota, the clock or the audit trail refuse.
    pub async fn issue<'a>(
        &self,
        call: &CallContext,
        rpc: Rpc,
        params: &[IssueParams<'a>],
    ) -> Result<Vec<Issued<'a>>, Error> {
        let uuid = same(params.iter().map(IssueParams::uuid)).unwrap_or_default();
        let batch = (rpc == Rpc::BatchIssueTokens).then_some(params.len());
        let record = Record { batch, ..Record::new(call, rpc, uuid) };
        let permits = self.authorize_mints(&record, params).await?;
        let now = match self.stability.now() {
            Ok(now) => now,
            Err(unstable) => return Err(self.trail.deny_mints(&record, &permits, unstable.into()).await),
        };
        let mut issued = Vec::with_capacity(params.len());
        for (index, (params, MintPermit { key, minting, .. })) in params.iter().zip(&permits).enumerate() {
            if index > 0 && index % SLICE == 0 {
                give_way().await;
            }
            issued.push(self.sign(*minting, key, params.scope, now));
        }
        self.trail.allow_mints(&record, &permits, &issued).await?;
        Ok(issued)
    }

    /// Signs what was allowed. The policy allows no lifetime that would end after the year 9999.
    #[must_use]
    pub fn sign<'a>(
        &self,
        minting: Minting,
        key: &Arc<SigningKey>,
        scope: Scope<'a>,
        now: UnixMillis,
    ) -> Issued<'a> {
        let _signing = traced_span!("sign", inkpass.token.kind = scope.kind().as_str()).entered();
        let expire_at = minting.lifetime.expire_at(now).unwrap_or(Some(UnixMillis::MAX));
        let claims = Claims { scope, role: minting.role, expire_at };
        let value = key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        let fingerprint = self.fingerprinter.of(value.expose());
        Issued { value, scope, role: minting.role, key: key.clone(), expire_at, fingerprint }
    }

    /// Authorizes a call that goes upstream, counts it against its caller's quota, and records the
    /// decision before anything is sent. The watch slot is kept for as long as the call watches.
    ///
    /// # Errors
    /// What the policy, the project's keys, the quota or the audit trail refuse.
    pub async fn authorize(
        &self,
        record: &Record<'_>,
        params: &UpstreamParams<'_>,
    ) -> Result<(UpstreamPermit, WatchSlot), Error> {
        let permitted = self.permit(record, params).await?;
        self.trail.record_decision(record, &permitted.0).await?;
        Ok(permitted)
    }

    /// The same without the record: the caller makes it.
    ///
    /// # Errors
    /// What the policy, the project's keys or the quota refuse; that is recorded.
    pub async fn permit(
        &self,
        record: &Record<'_>,
        params: &UpstreamParams<'_>,
    ) -> Result<(UpstreamPermit, WatchSlot), Error> {
        let Record { call, rpc, .. } = *record;
        let principal = &call.principal;
        let decide = || decide_upstream(&self.keyring.load(), &self.rules.load(), call, rpc, params);
        let decided = traced_span!("authorize").in_scope(decide);
        let permit = match decided {
            Ok(permit) => permit,
            Err(error) => {
                let UpstreamParams { project, access_key, region, token_grant: mint } = *params;
                let refused = Refused { project, access_key, region, mint };
                return Err(self.deny(record, &refused, error).await);
            }
        };
        let cost = rpc.cost(u32::from(permit.token_grant.is_some()));
        let (grant, now) = (&permit.grant, Instant::now());
        let charged = match &self.shared_quotas {
            Some(shared) => grant.charge_shared(principal.as_str(), cost, now, shared).await,
            None => grant.charge(principal.as_str(), cost, now),
        };
        let slot = match charged {
            Ok(slot) => slot,
            Err(exceeded) => return Err(self.trail.deny_upstream(record, &permit, exceeded.into()).await),
        };
        Ok((permit, slot))
    }

    /// Authorizes every token of a batch before any is signed, by the keys and rules of one moment.
    pub(super) async fn authorize_mints(
        &self,
        record: &Record<'_>,
        params: &[IssueParams<'_>],
    ) -> Result<Vec<MintPermit>, Error> {
        let principal = &record.call.principal;
        let permits = traced_span!("authorize").in_scope(|| {
            let (keyring, rules) = (self.keyring.load(), self.rules.load());
            let decide = |(index, params)| {
                decide_mint(&keyring, &rules, principal, record.rpc, params).map_err(|error| (index, error))
            };
            params.iter().enumerate().map(decide).collect::<Result<Vec<_>, _>>()
        });
        let permits = match permits {
            Ok(permits) => permits,
            Err((index, error)) => {
                let params = &params[index];
                let record = Record { uuid: params.uuid(), ..record.clone() };
                let error = if record.batch.is_some() { Error::InBatch(index, error.into()) } else { error };
                let IssueParams { project, access_key, .. } = *params;
                let refused = Refused { project, access_key, region: None, mint: Some(params.mint()) };
                return Err(self.deny(&record, &refused, error).await);
            }
        };
        let grants: Vec<_> = permits.iter().map(|permit| &*permit.grant).collect();
        match self.charge_batch(principal.as_str(), &grants).await {
            Ok(()) => Ok(permits),
            Err(exceeded) => Err(self.trail.deny_mints(record, &permits, exceeded.into()).await),
        }
    }

    async fn charge_batch(&self, principal: &str, grants: &[&Grant]) -> Result<(), QuotaExceeded> {
        let now = Instant::now();
        match &self.shared_quotas {
            Some(shared) => charge_batch_shared(principal, grants, now, shared).await,
            None => charge_batch(principal, grants, now),
        }
    }

    /// Records a denial, with the project that the call means if there is one.
    async fn deny(&self, record: &Record<'_>, refused: &Refused<'_>, error: Error) -> Error {
        let project = self.keyring.load().project(refused.project).cloned();
        self.trail.deny(record, refused, project.as_deref(), error).await
    }

    /// Signs and verifies with every key, as a check before any is used.
    ///
    /// # Errors
    /// The access key of the first that does not verify what it signed.
    pub fn self_check(&self) -> Result<(), String> {
        let keyring = self.keyring.load();
        let bad = keyring.projects().flat_map(|project| project.keys()).find(|key| !key.verifies_itself());
        bad.map_or(Ok(()), |key| Err(key.access_key().to_owned()))
    }
}

fn decide_upstream(
    keyring: &Keyring,
    rules: &Rules,
    call: &CallContext,
    rpc: Rpc,
    params: &UpstreamParams<'_>,
) -> Result<UpstreamPermit, Error> {
    let CallContext { principal: caller, deadline, .. } = call;
    let project = keyring.project(params.project).ok_or(Denial::ProjectUnknown)?;
    // Nothing of a project is looked at before it is known that the caller has a grant for it.
    let admitted = rules.admit(caller.as_str(), project.name())?;
    let region = params
        .region
        .or_else(|| project.region_of(rpc))
        .ok_or_else(|| Error::invalid("region", "is required: the project has no default region"))?;
    let decision = admitted.decide(rpc, Some(region), params.token_grant)?;
    let key = project.signing_key(params.access_key).ok_or(Error::AccessKeyUnknown)?;
    Ok(UpstreamPermit {
        project: project.clone(),
        grant: decision.grant.clone(),
        access: Access {
            project: project.shared_name(),
            key: key.clone(),
            region,
            caller: caller.clone(),
            deadline: *deadline,
            place: None,
        },
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
