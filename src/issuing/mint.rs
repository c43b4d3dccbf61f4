//! Minting: one token, or a batch of which all are minted or none.

use std::sync::Arc;

use super::{Authorizer, IssueParams, Issued, MintPermit, Minting, Record, record::same};
use crate::{
    call::CallContext,
    clock::UnixMillis,
    error::Error,
    methods::Rpc,
    token::{Claims, Nonce, Scope, SigningKey},
};

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
            Err(unstable) => {
                let line = record.mints(self.stability.wall_time(), &permits);
                return Err(self.deny_line(&record, line, unstable.into()).await);
            }
        };
        let issued: Vec<_> = params
            .iter()
            .zip(&permits)
            .map(|(params, MintPermit { key, minting, .. })| self.sign(*minting, key, params.scope, now))
            .collect();
        self.allow_mints(&record, &permits, &issued).await?;
        Ok(issued)
    }

    /// Signs what was allowed. The policy allows no lifetime that would end after the year 9999.
    pub fn sign<'a>(
        &self,
        minting: Minting,
        key: &Arc<SigningKey>,
        scope: Scope<'a>,
        now: UnixMillis,
    ) -> Issued<'a> {
        let _signing = tracing::debug_span!("sign", token.kind = scope.kind().as_str()).entered();
        let expire_at = minting.lifetime.expire_at(now).unwrap_or(Some(UnixMillis::MAX));
        let claims = Claims { scope, role: minting.role, expire_at };
        let value = key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        let fingerprint = self.fingerprinter.of(value.expose());
        Issued { value, scope, role: minting.role, key: key.clone(), expire_at, fingerprint }
    }
}
