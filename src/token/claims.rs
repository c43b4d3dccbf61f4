//! A token's claims, as types that cannot hold invalid ones.

use std::{fmt, time::Duration};

use crate::{clock::UnixMillis, hex::Uuid4, names::names};

/// What a token's holder may do. Stronger roles order before weaker ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything that the kind of token allows.
    Admin,
    /// Read and write.
    Writer,
    /// Read only.
    Reader,
}

names! { pub Role { Admin = "admin", Writer = "writer", Reader = "reader" } }

impl Role {
    /// The claim's value.
    pub(super) const fn claim(self) -> &'static str {
        match self {
            Self::Admin => "0",
            Self::Writer => "1",
            Self::Reader => "2",
        }
    }

    pub(super) fn from_claim(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.claim() == value)
    }
}

/// The three kinds of token. More powerful kinds order before weaker ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Opens every room and task of a project.
    Sdk,
    /// Opens one room.
    Room,
    /// Opens one file conversion.
    Task,
}

names! { pub Kind { Sdk = "sdk", Room = "room", Task = "task" } }

impl Kind {
    /// What every token of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Sdk => "NETLESSSDK_",
            Self::Room => "NETLESSROOM_",
            Self::Task => "NETLESSTASK_",
        }
    }
}

/// The uuid of a room or task: opaque, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid<'a>(&'a str);

impl<'a> Uuid<'a> {
    /// `None` if `uuid` is empty.
    #[must_use]
    pub const fn new(uuid: &'a str) -> Option<Self> {
        if uuid.is_empty() { None } else { Some(Self(uuid)) }
    }

    /// The uuid's text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Every room and task of the project.
    Sdk,
    /// One room.
    Room(Uuid<'a>),
    /// One file conversion.
    Task(Uuid<'a>),
}

impl<'a> Scope<'a> {
    /// The kind of token that has this scope.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Sdk => Kind::Sdk,
            Self::Room(_) => Kind::Room,
            Self::Task(_) => Kind::Task,
        }
    }

    /// The room or task that it is bound to.
    #[must_use]
    pub const fn uuid(self) -> Option<&'a str> {
        match self {
            Self::Sdk => None,
            Self::Room(uuid) | Self::Task(uuid) => Some(uuid.0),
        }
    }
}

/// The lifetime of a token. A missing or zero lifetime cannot be written: the vendor's
/// samples turn both into a permanent token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A whole number of milliseconds, above zero: see [`Lifetime::ttl`].
    Ttl(Ttl),
    /// Without expiry: valid until the access key is disabled.
    Permanent,
}

/// A time to live, made by [`Lifetime::ttl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(Duration);

/// The lifetime is zero, or finer than a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLifetime;

impl fmt::Display for InvalidLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be above zero and a whole number of milliseconds")
    }
}

impl std::error::Error for InvalidLifetime {}

impl Lifetime {
    /// A limited lifetime.
    ///
    /// # Errors
    /// [`InvalidLifetime`] if it is zero or not a whole number of milliseconds.
    pub const fn ttl(ttl: Duration) -> Result<Self, InvalidLifetime> {
        if ttl.is_zero() || !ttl.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(InvalidLifetime);
        }
        Ok(Self::Ttl(Ttl(ttl)))
    }

    /// How long, or `None` for a permanent token.
    #[must_use]
    pub const fn as_duration(self) -> Option<Duration> {
        match self {
            Self::Ttl(Ttl(ttl)) => Some(ttl),
            Self::Permanent => None,
        }
    }

    /// When a token made at `now` expires: `Ok(None)` is never.
    ///
    /// # Errors
    /// [`InvalidLifetime`] if that is past the year 9999.
    pub fn expire_at(self, now: UnixMillis) -> Result<Option<UnixMillis>, InvalidLifetime> {
        match self {
            Self::Ttl(Ttl(ttl)) => now.checked_add(ttl).map(Some).ok_or(InvalidLifetime),
            Self::Permanent => Ok(None),
        }
    }
}

/// The claims of a token to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// What it opens.
    pub scope: Scope<'a>,
    /// Its holder's role.
    pub role: Role,
    /// When it expires; `None`: never.
    pub expire_at: Option<UnixMillis>,
}

/// What makes a token unique.
pub type Nonce = Uuid4;
