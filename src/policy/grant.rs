//! One grant, and what it says of one request.

use std::{sync::Arc, time::Duration};

use super::{
    limits::{Limits, MILLENNIUM},
    meter::Meter,
    principal::Pattern,
    quota::Quota,
};
use crate::{
    methods::{Rpc, RpcSet},
    region::Region,
    token::{Kind, Lifetime, Role},
};

/// What one call asks the policy.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The call.
    pub rpc: Rpc,
    /// The project's own name: the default one is looked up before.
    pub project: &'a str,
    /// Where it goes: the region asked for, or the project's default. Not looked at where the call
    /// does not go upstream; `None` where it does is refused.
    pub region: Option<Region>,
    /// What it mints.
    pub mint: Option<Mint>,
}

/// A token to be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Its kind.
    pub kind: Kind,
    /// Its role.
    pub role: Role,
    /// How long it is to live; `None`: the grant's default.
    pub lifetime: Option<Lifetime>,
}

/// Why a request is denied. Later ones got further: each says that some grant allows everything
/// that the ones before it speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Denial {
    /// There is no such project, or the caller has no grant for it: `PROJECT_UNKNOWN`.
    #[error("no grant names this principal and this project")]
    ProjectUnknown,
    /// `POLICY_DENIED`.
    #[error("{0}")]
    PolicyDenied(Missing),
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

/// What no grant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Missing {
    /// The call itself.
    #[error("no grant has this RPC")]
    Rpc,
    /// A token beside a new room or conversion needs `IssueToken` in the same grant.
    #[error("no grant that has this RPC has IssueToken too, which a token beside it needs")]
    IssueToken,
    /// The kind of token.
    #[error("no grant that has this RPC has this kind of token")]
    Kind,
    /// A role as strong as this.
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

    /// Of a `POLICY_DENIED` what was missing: `rpc`, `kind` or `role`.
    #[must_use]
    pub const fn missing(self) -> Option<&'static str> {
        match self {
            Self::PolicyDenied(Missing::Rpc | Missing::IssueToken) => Some("rpc"),
            Self::PolicyDenied(Missing::Kind) => Some("kind"),
            Self::PolicyDenied(Missing::Role) => Some("role"),
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
    pub(super) meter: Option<Arc<Meter>>,
}

/// What a grant says of a kind of token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRule {
    pub(super) strongest: Role,
    pub(super) default: Lifetime,
    pub(super) maximum: Duration,
    pub(super) permanent: bool,
}

/// Whom a service serves that has no policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Everyone {
    /// Everything but permanent tokens, with the usual lifetimes: `--insecure-allow-all`.
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
            meter: None,
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
        self.meter.as_ref().map(|meter| meter.quota())
    }

    /// How long a token of this kind lives where a request does not say.
    #[must_use]
    pub fn default_lifetime(&self, kind: Kind) -> Lifetime {
        self.token(kind).map_or(Limits::usual(kind).default, |rule| rule.default)
    }

    pub(super) const fn token(&self, kind: Kind) -> Option<&TokenRule> {
        self.tokens[kind as usize].as_ref()
    }

    /// Whether a token beside what this call creates may be asked for.
    pub(super) const fn may_mint_by(&self, rpc: Rpc) -> bool {
        rpc.mints() || self.rpcs.contains(Rpc::IssueToken)
    }

    pub(super) fn names(&self, principal: &str) -> bool {
        self.principals.iter().any(|pattern| pattern.covers(principal))
    }

    /// What this grant alone says of a request of a principal that it names: the lifetime of the
    /// token, if it mints one.
    pub(super) fn judge(&self, ask: &Ask<'_>) -> Result<Option<Lifetime>, Denial> {
        if !self.projects.iter().any(|project| **project == *ask.project) {
            return Err(Denial::ProjectUnknown);
        }
        self.judge_within_project(ask)
    }

    /// The same, where the project is none of its business.
    pub(super) fn judge_within_project(&self, ask: &Ask<'_>) -> Result<Option<Lifetime>, Denial> {
        let (rpc, mint) = (ask.rpc, ask.mint);
        let denied = |missing| Err(Denial::PolicyDenied(missing));
        if !self.rpcs.contains(rpc) {
            return denied(Missing::Rpc);
        }
        let rule = match mint {
            None if rpc.mints() => return denied(Missing::Kind),
            None => None,
            Some(mint) if !rpc.can_mint(mint.kind) => return denied(Missing::Kind),
            Some(_) if !self.may_mint_by(rpc) => return denied(Missing::IssueToken),
            Some(mint) => match self.token(mint.kind) {
                None => return denied(Missing::Kind),
                Some(rule) if mint.role < rule.strongest => return denied(Missing::Role),
                Some(rule) => Some((rule, mint.lifetime)),
            },
        };
        if rpc.goes_upstream() && !ask.region.is_some_and(|region| self.regions.contains(&region)) {
            return Err(Denial::RegionForbidden);
        }
        rule.map(|(rule, asked)| rule.lifetime(asked)).transpose()
    }
}

impl TokenRule {
    fn lifetime(&self, asked: Option<Lifetime>) -> Result<Lifetime, Denial> {
        match asked {
            None => Ok(self.default),
            Some(Lifetime::Permanent) if self.permanent => Ok(Lifetime::Permanent),
            Some(Lifetime::Permanent) => Err(Denial::PermanentTokenForbidden),
            Some(asked) if asked.as_duration() > Some(self.maximum) => {
                Err(Denial::TtlAboveMaximum(self.maximum))
            }
            Some(asked) => Ok(asked),
        }
    }
}
