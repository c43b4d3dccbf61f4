//! What the policy knows of each RPC: where it reaches, what it mints, and so what it counts against.
//!
//! The enum comes from the descriptor set and the `match` has no `_` arm: an RPC without a row does
//! not compile.

use std::str::FromStr;

use crate::token::Kind;

include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// Where a call reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It stays in this process: no region, no upstream quota.
    Local,
    /// It goes to the whiteboard API: a region, and one upstream call of the quota.
    Upstream,
    /// The same, and it is held open: one watch of the quota too.
    Watch,
}

/// Whether a call mints tokens; each counts as one token of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mints {
    /// It never does.
    Never,
    /// That is what it is for: tokens of any kind.
    Always,
    /// One of this kind for what it creates, if asked; the caller then needs `IssueToken` too.
    Beside(Kind),
}

impl Rpc {
    /// The decision table.
    #[must_use]
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "a table has a row for each")]
    pub const fn row(self) -> (Reach, Mints) {
        match self {
            Self::IssueToken             => (Reach::Local,    Mints::Always),
            Self::BatchIssueTokens       => (Reach::Local,    Mints::Always),
            Self::VerifyToken            => (Reach::Local,    Mints::Never),
            Self::CreateRoom             => (Reach::Upstream, Mints::Beside(Kind::Room)),
            Self::GetRoom                => (Reach::Upstream, Mints::Never),
            Self::ListRooms              => (Reach::Upstream, Mints::Never),
            Self::DisableRoom            => (Reach::Upstream, Mints::Never),
            Self::EnableRoom             => (Reach::Upstream, Mints::Never),
            Self::ListScenes             => (Reach::Upstream, Mints::Never),
            Self::AddScenes              => (Reach::Upstream, Mints::Never),
            Self::SwitchScene            => (Reach::Upstream, Mints::Never),
            Self::CaptureScene           => (Reach::Upstream, Mints::Never),
            Self::CaptureSceneDir        => (Reach::Upstream, Mints::Never),
            Self::StartConversion        => (Reach::Upstream, Mints::Beside(Kind::Task)),
            Self::GetConversion          => (Reach::Upstream, Mints::Never),
            Self::WatchConversion        => (Reach::Watch,    Mints::Never),
            Self::ListPendingConversions => (Reach::Upstream, Mints::Never),
            Self::CancelConversion       => (Reach::Upstream, Mints::Never),
            Self::PrioritizeConversion   => (Reach::Upstream, Mints::Never),
        }
    }

    /// Whether it goes to the whiteboard API, and so is bound to a region.
    #[must_use]
    pub const fn goes_upstream(self) -> bool {
        !matches!(self.row().0, Reach::Local)
    }

    /// Whether it can mint a token of this kind.
    #[must_use]
    pub fn can_mint(self, kind: Kind) -> bool {
        match self.row().1 {
            Mints::Never => false,
            Mints::Always => true,
            Mints::Beside(beside) => beside == kind,
        }
    }
}

/// The text names no RPC of `inkpass.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRpc;

impl std::fmt::Display for UnknownRpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("must be the full name of an RPC, such as inkpass.v1.TokenService/IssueToken")
    }
}

impl std::error::Error for UnknownRpc {}

impl FromStr for Rpc {
    type Err = UnknownRpc;

    fn from_str(name: &str) -> Result<Self, UnknownRpc> {
        Self::ALL.into_iter().find(|rpc| rpc.name() == name).ok_or(UnknownRpc)
    }
}

/// A set of RPCs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RpcSet(u32);

const _: () = assert!(Rpc::ALL.len() <= u32::BITS as usize);

impl RpcSet {
    pub(super) const ALL: Self = Self(u32::MAX);

    pub(super) fn insert(&mut self, rpc: Rpc) {
        self.0 |= 1 << rpc as u32;
    }

    pub(super) const fn contains(self, rpc: Rpc) -> bool {
        self.0 & 1 << rpc as u32 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Rpc> {
        Rpc::ALL.into_iter().filter(move |rpc| self.contains(*rpc))
    }
}
