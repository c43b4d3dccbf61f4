//! Every RPC, one row each: what the rest of the service must know of it stands here alone.
//!
//! The enum is generated from the descriptor set, and the `match` has no `_` arm: an RPC without a row
//! does not compile. Policy, quota, audit, limits, metrics, retry advice and the meaning of an upstream
//! 404 are derived from the row. CONTRIBUTING.md tells how to add one.

use std::{fmt, str::FromStr};

use crate::token::Kind;

include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// What the service knows of an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it does.
    pub action: Action,
    /// Where it goes.
    pub reach: Reach,
    /// What it is about.
    pub resource: Resource,
    /// Whether its decisions are written to the audit trail.
    pub audited: bool,
    /// Whether its caller may send it again after an answer that got lost.
    pub repeat: Repeat,
    /// The largest request, in bytes. A larger one is refused before it is decoded.
    pub largest_request: usize,
}

/// What an RPC does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Mints tokens of any kind.
    Mints,
    /// Reads, and changes nothing.
    Reads,
    /// Reads, and stays open to tell of changes: one watch slot of the quota.
    Watches,
    /// Changes what exists.
    Changes,
    /// Creates something and, if asked, mints a token of this kind for it. The token also needs
    /// `IssueToken` in a grant's `rpcs`.
    Creates(Kind),
}

/// Where an RPC goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere: it is answered by this process. It has no region.
    Local,
    /// To the whiteboard API, in a region: one upstream call of the quota.
    Upstream,
}

/// What an RPC is about: which thing is missing where the upstream answers 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The project as a whole. Nothing is named that could be missing.
    Project,
    /// A room.
    Room,
    /// A scene of a room: either may be missing.
    Scene,
    /// A conversion.
    Conversion,
}

/// Whether a caller may send an RPC again although the first one may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Always: the second one changes nothing more.
    Safe,
    /// With the same `request_id`. Upstream it is a POST, which is sent once.
    WithRequestId,
    /// Never. Upstream it is a POST, which is sent once.
    Never,
}

/// What a call uses of its caller's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens to be minted.
    pub tokens: u32,
    /// Upstream calls.
    pub upstream: u32,
    /// Whether it takes a watch slot.
    pub watch: bool,
}

const KIB: usize = 1024;

impl Rpc {
    /// The row. Columns: action, reach, resource, audited, repeat, largest request.
    #[must_use]
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "a table has a row for each")]
    pub const fn row(self) -> Row {
        use Action::{Changes, Creates, Mints, Reads, Watches};
        use Reach::{Local, Upstream};
        use Repeat::{Never, Safe, WithRequestId};
        use Resource::{Conversion, Project, Room, Scene};
        const AUDITED: bool = true;
        const NOT: bool = false;
        match self {
            Self::IssueToken             => row(Mints,               Local,    Project,    AUDITED, Safe,          16 * KIB),
            Self::BatchIssueTokens       => row(Mints,               Local,    Project,    AUDITED, Safe,          512 * KIB),
            Self::VerifyToken            => row(Reads,               Local,    Project,    NOT,     Safe,          16 * KIB),
            Self::CreateRoom             => row(Creates(Kind::Room), Upstream, Project,    AUDITED, WithRequestId, 64 * KIB),
            Self::GetRoom                => row(Reads,               Upstream, Room,       NOT,     Safe,          64 * KIB),
            Self::ListRooms              => row(Reads,               Upstream, Project,    NOT,     Safe,          64 * KIB),
            Self::DisableRoom            => row(Changes,             Upstream, Room,       AUDITED, Safe,          64 * KIB),
            Self::EnableRoom             => row(Changes,             Upstream, Room,       AUDITED, Safe,          64 * KIB),
            Self::ListScenes             => row(Reads,               Upstream, Scene,      NOT,     Safe,          64 * KIB),
            Self::AddScenes              => row(Changes,             Upstream, Scene,      AUDITED, Never,         64 * KIB),
            Self::SwitchScene            => row(Changes,             Upstream, Scene,      AUDITED, Safe,          64 * KIB),
            Self::CaptureScene           => row(Changes,             Upstream, Scene,      AUDITED, Never,         64 * KIB),
            Self::CaptureSceneDir        => row(Changes,             Upstream, Scene,      AUDITED, Never,         64 * KIB),
            Self::StartConversion        => row(Creates(Kind::Task), Upstream, Project,    AUDITED, WithRequestId, 64 * KIB),
            Self::GetConversion          => row(Reads,               Upstream, Conversion, NOT,     Safe,          64 * KIB),
            Self::WatchConversion        => row(Watches,             Upstream, Conversion, NOT,     Safe,          64 * KIB),
            Self::ListPendingConversions => row(Reads,               Upstream, Project,    NOT,     Safe,          64 * KIB),
            Self::CancelConversion       => row(Changes,             Upstream, Conversion, AUDITED, Safe,          64 * KIB),
            Self::PrioritizeConversion   => row(Changes,             Upstream, Conversion, AUDITED, Safe,          64 * KIB),
        }
    }

    /// Whether it goes to the whiteboard API, and so needs a region.
    #[must_use]
    pub const fn goes_upstream(self) -> bool {
        matches!(self.row().reach, Reach::Upstream)
    }

    /// Whether minting is what it is for.
    #[must_use]
    pub const fn mints(self) -> bool {
        matches!(self.row().action, Action::Mints)
    }

    /// The kind of token that it can mint for what it creates.
    #[must_use]
    pub const fn mints_beside(self) -> Option<Kind> {
        match self.row().action {
            Action::Creates(kind) => Some(kind),
            Action::Mints | Action::Reads | Action::Watches | Action::Changes => None,
        }
    }

    /// Whether it can mint a token of this kind.
    #[must_use]
    pub fn can_mint(self, kind: Kind) -> bool {
        self.mints() || self.mints_beside() == Some(kind)
    }

    /// What a call uses of a quota that mints so many tokens.
    #[must_use]
    pub const fn cost(self, tokens: u32) -> Cost {
        let Row { action, reach, .. } = self.row();
        Cost {
            tokens,
            upstream: matches!(reach, Reach::Upstream) as u32,
            watch: matches!(action, Action::Watches),
        }
    }

    /// Whether it is of the `ConversionService`, whose features are switched on by region.
    #[must_use]
    pub fn is_of_conversions(self) -> bool {
        self.service().ends_with(".ConversionService")
    }

    /// Its name within its service.
    #[must_use]
    pub fn method(self) -> &'static str {
        self.name().split_once('/').map_or("", |(_, method)| method)
    }

    /// Its service's full name, `inkpass.v1.Service`.
    #[must_use]
    pub fn service(self) -> &'static str {
        self.name().split_once('/').map_or("", |(service, _)| service)
    }
}

const fn row(
    action: Action,
    reach: Reach,
    resource: Resource,
    audited: bool,
    repeat: Repeat,
    largest_request: usize,
) -> Row {
    Row { action, reach, resource, audited, repeat, largest_request }
}

/// What is served beside `inkpass.v1`: no policy is asked about it.
const OPEN_METHODS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// What stays open of them for as long as its caller likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenStream {
    /// A watch of health.
    Health,
    /// Reflection.
    Reflection,
}

/// Every method that is served, health and reflection included: `package.Service/Method`.
pub fn all_methods() -> impl Iterator<Item = &'static str> {
    Rpc::ALL.into_iter().map(Rpc::name).chain(OPEN_METHODS)
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// An RPC of `inkpass.v1`.
    Ours(Rpc),
    /// Health or reflection, which need no credential: its place among them.
    Open(usize),
    /// Nothing that is served.
    Unknown,
}

impl Method {
    /// By a request's path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        let open = || OPEN_METHODS.iter().position(|method| *method == name);
        name.parse().map(Self::Ours).ok().or_else(|| open().map(Self::Open)).unwrap_or(Self::Unknown)
    }

    /// Which stream it is that is open to everyone; `None`: it is none.
    #[must_use]
    pub const fn open_stream(self) -> Option<OpenStream> {
        match self {
            Self::Open(1) => Some(OpenStream::Health),
            Self::Open(2..) => Some(OpenStream::Reflection),
            Self::Open(_) | Self::Ours(_) | Self::Unknown => None,
        }
    }

    /// Its place in [`all_methods`]; `None`: it is not served.
    #[must_use]
    pub const fn place(self) -> Option<usize> {
        match self {
            Self::Ours(rpc) => Some(rpc as usize),
            Self::Open(place) => Some(Rpc::ALL.len() + place),
            Self::Unknown => None,
        }
    }
}

/// The text names no RPC of `inkpass.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRpc;

impl fmt::Display for UnknownRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
pub(crate) struct RpcSet(u32);

const _: () = assert!(Rpc::ALL.len() <= u32::BITS as usize);

impl RpcSet {
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) fn insert(&mut self, rpc: Rpc) {
        self.0 |= 1 << rpc as u32;
    }

    pub(crate) const fn contains(self, rpc: Rpc) -> bool {
        self.0 & 1 << rpc as u32 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Rpc> {
        Rpc::ALL.into_iter().filter(move |rpc| self.contains(*rpc))
    }
}
