//! What a call asks for, with what it is allowed, and what is minted.

use std::sync::Arc;

use crate::{
    clock::UnixMillis,
    keyring::Project,
    policy::{Grant, Mint},
    proto,
    region::Region,
    token::{Fingerprint, Kind, Lifetime, Role, Scope, SigningKey, TokenValue},
    whiteboard::Access,
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

/// What a call upstream asks for.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamParams<'a> {
    /// The project; empty: the default one.
    pub project: &'a str,
    /// The access key to sign with; empty: the active one.
    pub access_key: &'a str,
    /// Where the call goes; `None`: the project's default region.
    pub region: Option<Region>,
    /// The token to mint for what the call creates.
    pub token_grant: Option<Mint>,
}

/// A token that may be minted.
#[derive(Clone, Debug)]
pub struct MintPermit {
    /// The project.
    pub project: Arc<Project>,
    /// The grant that allows it.
    pub grant: Arc<Grant>,
    /// Signs the token.
    pub key: Arc<SigningKey>,
    /// What is minted.
    pub minting: Minting,
}

/// A call that may go upstream.
#[derive(Debug)]
pub struct UpstreamPermit {
    /// The project.
    pub project: Arc<Project>,
    /// The grant that allows it.
    pub grant: Arc<Grant>,
    /// The key and the region that the call is made with.
    pub access: Access,
    /// The token to mint for what the call creates.
    pub token_grant: Option<Minting>,
}

/// A token's terms, as they were allowed.
#[derive(Clone, Copy, Debug)]
pub struct Minting {
    /// Its kind.
    pub kind: Kind,
    /// Its role.
    pub role: Role,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// A minted token, and its public details.
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

impl Minting {
    /// As asked for; the lifetime is the grant's default where none is.
    pub(super) fn new(mint: Mint, grant: &Grant) -> Self {
        let Mint { kind, role, lifetime } = mint;
        Self { kind, role, lifetime: lifetime.unwrap_or_else(|| grant.default_lifetime(kind)) }
    }
}

impl From<Issued<'_>> for proto::Token {
    fn from(issued: Issued<'_>) -> Self {
        Self {
            value: issued.value.into_text(),
            kind: proto::TokenKind::from(issued.scope.kind()).into(),
            role: proto::Role::from(issued.role).into(),
            uuid: issued.scope.uuid().unwrap_or_default().to_owned(),
            access_key: issued.key.access_key().to_owned(),
            expire_time: issued.expire_at.map(Into::into),
            fingerprint: issued.fingerprint.to_text(),
        }
    }
}
