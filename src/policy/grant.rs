//! One grant, and what it says of one request.

use std::{sync::Arc, time::Duration};

use super::{
    limits::{Limits, MILLENNIUM},
    quota::{Quota, QuotaUsage},
};
use crate::{
    methods::{Rpc, RpcSet},
    principal::Pattern,
    region::Region,
    token::{Kind, Lifetime, Role},
};

/// What a caller wants to do: the policy allows or denies it.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'a> {
    /// The call.
    pub rpc: Rpc,
    /// The project's name. It is never empty: the default project is looked up before.
    pub project: &'a str,
    /// The region that the call goes to: the requested one, or the project's default. Ignored where
    /// the call does not go upstream; `None` where it does is denied.
    pub region: Option<Region>,
    /// The token that it mints.
    pub mint: Option<Mint>,
}

/// A token to be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Its kind.
    pub kind: Kind,
    /// Its role.
    pub role: Role,
    /// The requested lifetime; `None`: the grant's default.
    pub lifetime: Option<Lifetime>,
}

/// Why a request is denied. A later variant got further: some grant allows everything that the
/// variants before it are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Denial {
    /// There is no such project, or the caller has no grant for it: `PROJECT_UNKNOWN`.
    #[error("no grant names this principal and this project")]
    ProjectUnknown,
    /// `POLICY_DENIED`.
    #[error("{0}")]
    PolicyDenied(MissingRight),
    /// `REGION_FORBIDDEN`.
    #[error("no grant that allows this has the region")]
    RegionForbidden,
    /// `PERMANENT_TOKEN_FORBIDDEN`.
    #[error("no grant that allows this allows permanent tokens")]
    PermanentTokenForbidden,
    /// The lifetime is above this, the most that any grant allows: `TTL_ABOVE_MAXIMUM`.
    #[error("the ttl is above the maximum of {}", humantime::format_duration(*.0))]
    TtlAboveMaximum(Duration),
}

/// What no grant has, of a `POLICY_DENIED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum MissingRight {
    /// The call itself.
    #[error("no grant has this RPC")]
    Rpc,
    /// A token beside a new room or conversion needs `IssueToken` in the same grant.
    #[error("no grant that has this RPC has IssueToken too, which a token beside it needs")]
    IssueToken,
    /// The kind of token.
    #[error("no grant that has this RPC has this kind of token")]
    Kind,
    /// A role of this strength.
    #[error("no grant that has this RPC and kind of token has so strong a role")]
    Role,
}

impl Denial {
    /// `ErrorInfo.reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ProjectUnknown => "PROJECT_UNKNOWN",
            Self::PolicyDenied(_) => "POLICY_DENIED",
            Self::RegionForbidden => "REGION_FORBIDDEN",
            Self::PermanentTokenForbidden => "PERMANENT_TOKEN_FORBIDDEN",
            Self::TtlAboveMaximum(_) => "TTL_ABOVE_MAXIMUM",
        }
    }

    /// The missing right of a `POLICY_DENIED`: `rpc`, `kind` or `role`.
    #[must_use]
    pub const fn missing(self) -> Option<&'static str> {
        match self {
            Self::PolicyDenied(MissingRight::Rpc | MissingRight::IssueToken) => Some("rpc"),
            Self::PolicyDenied(MissingRight::Kind) => Some("kind"),
            Self::PolicyDenied(MissingRight::Role) => Some("role"),
            _ => None,
        }
    }
}

/// A table of `[[grants]]`, validated.
#[derive(Debug)]
pub struct Grant {
    pub(super) name: Arc<str>,
    pub(super) line: usize,
    pub(super) principals: Vec<Pattern>,
    pub(super) rpcs: RpcSet,
    pub(super) projects: Vec<Arc<str>>,
    pub(super) regions: Vec<Region>,
    /// By kind.
    pub(super) tokens: [Option<TokenRule>; 3],
    pub(super) usage: Option<Arc<QuotaUsage>>,
}

/// What a grant says of a kind of token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRule {
    pub(super) strongest: Role,
    pub(super) default: Lifetime,
    pub(super) maximum: Duration,
    pub(super) permanent: bool,
}

/// What a request requires of a grant: all that is the same whichever the grant, worked out once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirements {
    rpc: Rpc,
    /// Whether a token needs `IssueToken` too.
    issue_token: bool,
    /// The token to be minted. An error: the RPC cannot mint it, or cannot do without one.
    token: Result<Option<Mint>, MissingRight>,
    /// Whether the call needs a region.
    goes_upstream: bool,
    region: Option<Region>,
}

/// The policy of a service that has no policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Everyone {
    /// Everything except permanent tokens, with the usual lifetimes: `--insecure-allow-all`.
    Usual,
    /// Permanent tokens too: `dev`.
    Permissive,
    /// Any lifetime up to a thousand years: the offline commands, whose caller holds the key.
    Offline,
}

impl Grant {
    /// The one grant of a service without a policy file.
    pub(super) fn for_everyone(everyone: Everyone) -> Self {
        let tokens = Kind::ALL.map(|kind| {
            let Limits { default, maximum } = Limits::usual(kind);
            let maximum = if everyone == Everyone::Offline { MILLENNIUM } else { maximum };
            Some(TokenRule {
                strongest: Role::Admin,
                default,
                maximum,
                permanent: everyone != Everyone::Usual,
            })
        });
        Self {
            name: "everyone".into(),
            line: 0,
            principals: Vec::new(),
            rpcs: RpcSet::ALL,
            projects: Vec::new(),
            regions: Region::ALL.to_vec(),
            tokens,
            usage: None,
        }
    }

    /// Its name in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of the file that it begins on; 0 where there is no file.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Its quota; `None`: no limit.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.usage.as_ref().map(|usage| usage.quota())
    }

    /// How long a token of this kind lives where a request does not say.
    #[must_use]
    pub fn default_lifetime(&self, kind: Kind) -> Lifetime {
        self.tokens[kind as usize].as_ref().map_or(Limits::usual(kind).default, |rule| rule.default)
    }

    /// What this grant alone says of a request whose principal and project it names: the lifetime of
    /// the token, if one is minted.
    #[inline]
    pub(super) fn judge(&self, request: &Requirements) -> Result<Option<Lifetime>, Denial> {
        if !self.rpcs.contains(request.rpc) {
            return Err(Denial::PolicyDenied(MissingRight::Rpc));
        }
        let token = match request.token.map_err(Denial::PolicyDenied)? {
            Some(mint) => {
                Some((self.token_rule(request, mint).map_err(Denial::PolicyDenied)?, mint.lifetime))
            }
            None => None,
        };
        if request.goes_upstream && !request.region.is_some_and(|region| self.regions.contains(&region)) {
            return Err(Denial::RegionForbidden);
        }
        token.map(|(rule, requested)| rule.lifetime(requested)).transpose()
    }

    fn token_rule(&self, request: &Requirements, mint: Mint) -> Result<&TokenRule, MissingRight> {
        if request.issue_token && !self.rpcs.contains(Rpc::IssueToken) {
            return Err(MissingRight::IssueToken);
        }
        let rule = self.tokens[mint.kind as usize].as_ref().ok_or(MissingRight::Kind)?;
        if mint.role < rule.strongest { Err(MissingRight::Role) } else { Ok(rule) }
    }
}

impl Requirements {
    /// The parameters are [`AccessRequest`]'s.
    pub(super) fn new(rpc: Rpc, region: Option<Region>, mint: Option<Mint>) -> Self {
        let token = match mint {
            Some(mint) if !rpc.can_mint(mint.kind) => Err(MissingRight::Kind),
            None if rpc.mints() => Err(MissingRight::Kind),
            mint => Ok(mint),
        };
        Self { rpc, issue_token: !rpc.mints(), token, goes_upstream: rpc.goes_upstream(), region }
    }
}

impl TokenRule {
    fn lifetime(&self, requested: Option<Lifetime>) -> Result<Lifetime, Denial> {
        match requested {
            None => Ok(self.default),
            Some(Lifetime::Permanent) if self.permanent => Ok(Lifetime::Permanent),
            Some(Lifetime::Permanent) => Err(Denial::PermanentTokenForbidden),
            Some(ttl) if ttl.as_duration() > Some(self.maximum) => Err(Denial::TtlAboveMaximum(self.maximum)),
            Some(ttl) => Ok(ttl),
        }
    }
}
