//! Minting: one token, or a batch of which all are minted or none.

use std::sync::Arc;

use super::{Authorizer, MintPermit, Minting, Record, record::same};
use crate::{
    call::CallContext,
    clock::UnixMillis,
    error::Error,
    methods::Rpc,
    policy::Mint,
    proto,
    token::{Claims, Fingerprint, Lifetime, Nonce, Role, Scope, SigningKey, TokenValue},
};

/// A token that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct IssueParams<'a> {
    /// The project; empty: the default one.
    pub project: &'a str,
    /// The access key to sign with; empty: the active one.
    pub access_key: &'a str,
    /// What the token opens.
    pub scope: Scope<'a>,
    /// Its role.
    pub role: Role,
    /// How long it is to live; `None`: the grant's default.
    pub lifetime: Option<Lifetime>,
}

/// A token that was minted, and what may be told of it.
#[derive(Debug)]
pub struct Issued<'a> {
    /// The token itself: a secret.
    pub value: TokenValue,
    /// What it opens.
    pub scope: Scope<'a>,
    /// Its role.
    pub role: Role,
    /// The key that signed it.
    pub key: Arc<SigningKey>,
    /// When it expires; `None`: never.
    pub expire_at: Option<UnixMillis>,
    /// Names it in the audit trail.
    pub fingerprint: Fingerprint,
}

impl IssueParams<'_> {
    /// The room or task; empty for an SDK token.
    pub(super) fn uuid(&self) -> &str {
        self.scope.uuid().unwrap_or_default()
    }

    pub(super) const fn mint(&self) -> Mint {
        Mint { kind: self.scope.kind(), role: self.role, lifetime: self.lifetime }
    }
}

impl From<&Issued<'_>> for proto::Token {
    fn from(issued: &Issued<'_>) -> Self {
        Self {
            value: issued.value.expose().to_owned(),
            kind: proto::TokenKind::from(issued.scope.kind()).into(),
            role: proto::Role::from(issued.role).into(),
            uuid: issued.scope.uuid().unwrap_or_default().to_owned(),
            access_key: issued.key.access_key().to_owned(),
            expire_time: issued.expire_at.map(Into::into),
            fingerprint: issued.fingerprint.to_string(),
        }
    }
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
