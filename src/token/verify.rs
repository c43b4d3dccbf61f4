//! The verifier: it answers as the vendor's server does, with the same errors.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    claims::{Claims, Kind, Nonce, Role, Scope},
    encoding::decode_component,
    key::{SigningKey, Tag, push_message},
    permission::{Permission, Verdict},
};
use crate::{clock::UnixMillis, hex};

/// Why a token is not valid. `Display` gives the vendor's exact string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It cannot be read.
    Malformed,
    /// It is of the vendor's older API.
    Legacy,
    /// It has expired.
    Expired,
    /// The signature is not the key's.
    Signature,
    /// The token's own role, named here, is too weak.
    Role(Role),
    /// Another room's token, or no Room token can do this.
    Room,
    /// Another task's token, or no Task token can do this.
    Task,
    /// The access key is unknown, or its project is disabled.
    Team,
    /// Anything else.
    Unknown,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed | Self::Legacy => f.write_str("invalid format of token"),
            Self::Expired => f.write_str("expired token"),
            Self::Signature => f.write_str("invalid signature of token"),
            Self::Role(role) => write!(f, "token access role {role} forbidden"),
            Self::Room => f.write_str("token access room forbidden"),
            Self::Task => f.write_str("token access task forbidden"),
            Self::Team => f.write_str("token access team forbidden"),
            Self::Unknown => f.write_str("unknown error"),
        }
    }
}

impl std::error::Error for TokenError {}

/// What a token must permit. Empty: only the token itself is verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What is to be done.
    pub permission: Option<Permission>,
    /// The role of the token to mint; `None`: the token's own.
    pub mint_role: Option<Role>,
    /// The room to open; `None`: the token's own.
    pub room: Option<&'a str>,
    /// The task to query; `None`: the token's own.
    pub task: Option<&'a str>,
}

/// A token that was parsed and is not verified.
pub struct Presented {
    kind: Kind,
    /// All claims but `sig`, decoded and sorted, those of newer issuers included.
    claims: Vec<(String, String)>,
    role: Role,
    expire_at: Option<UnixMillis>,
    tag: Tag,
}

impl Presented {
    /// Parses a token of any issuer: claims in any order, in either escaping.
    ///
    /// # Errors
    /// [`TokenError::Legacy`] for a token of the older API, [`TokenError::Malformed`] for anything
    /// else that is not a token.
    pub fn parse(token: &str) -> Result<Self, TokenError> {
        if token.starts_with("WHITE") {
            return Err(TokenError::Legacy);
        }
        Self::read(token).ok_or(TokenError::Malformed)
    }

    fn read(token: &str) -> Option<Self> {
        let (kind, body) =
            Kind::ALL.into_iter().find_map(|kind| Some((kind, token.strip_prefix(kind.prefix())?)))?;
        let query = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let mut claims = query
            .split('&')
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((decode_component(name)?, decode_component(value)?))
            })
            .collect::<Option<Vec<_>>>()?;
        // ECMAScript sorts by UTF-16 code units.
        claims.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
        if claims.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }

        let sig = claims.iter().position(|(name, _)| name == "sig")?;
        let (_, sig) = claims.remove(sig);
        let has_capitals = sig.bytes().any(|digit| digit.is_ascii_uppercase());
        let tag = Tag(hex::decode(&sig).filter(|_| !has_capitals)?);
        let claim =
            |wanted: &str| claims.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let role = Role::from_claim(claim("role")?)?;
        let expire_at = match claim("expireAt") {
            Some(millis) => Some(parse_millis(millis)?),
            None => None,
        };
        // The prefix is not signed: without this a Room token would be an SDK token under another
        // prefix. Room and Task tokens cannot be told apart by anything that is signed.
        let fits = match kind {
            Kind::Sdk => claim("uuid").is_none(),
            Kind::Room | Kind::Task => claim("uuid").is_some_and(|uuid| !uuid.is_empty()),
        };
        let complete = !claim("ak")?.is_empty() && claim("nonce").is_some() && fits;
        complete.then_some(Self { kind, claims, role, expire_at, tag })
    }

    /// Whether this key signed exactly these claims.
    #[must_use]
    pub fn is_signed_by(&self, key: &SigningKey) -> bool {
        let mut message = Vec::with_capacity(512);
        push_message(&mut message, self.claims.iter().map(|(name, value)| (&**name, &**value)));
        key.verifies(&message, &self.tag)
    }

    /// Whether it has expired: from the very millisecond of its expiry on.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expire_at.is_some_and(|at| now >= at)
    }

    /// Whether it permits what is wanted. Room or task are checked before the role.
    ///
    /// # Errors
    /// [`TokenError::Room`], [`TokenError::Task`] or [`TokenError::Role`].
    pub fn permits(&self, wanted: &Wanted<'_>) -> Result<(), TokenError> {
        let own = Some(self.uuid());
        let verdict = wanted.permission.map_or(Verdict::Allowed, |p| p.verdict(self.kind, self.role));
        let (elsewhere, refusal) = match self.kind {
            Kind::Sdk => (false, TokenError::Unknown),
            Kind::Room => {
                (wanted.task.is_some() || wanted.room.is_some_and(|_| wanted.room != own), TokenError::Room)
            }
            Kind::Task => {
                (wanted.room.is_some() || wanted.task.is_some_and(|_| wanted.task != own), TokenError::Task)
            }
        };
        let mints_above = wanted.mint_role.is_some_and(|role| role < self.role);
        match verdict {
            _ if elsewhere => Err(refusal),
            Verdict::KindForbidden => Err(refusal),
            Verdict::RoleForbidden => Err(TokenError::Role(self.role)),
            Verdict::Allowed if mints_above => Err(TokenError::Role(self.role)),
            Verdict::Allowed => Ok(()),
        }
    }

    /// All that a token of this kind and role permits.
    pub fn permissions(&self) -> impl Iterator<Item = Permission> + use<> {
        let (kind, role) = (self.kind, self.role);
        Permission::all().filter(move |permission| permission.verdict(kind, role) == Verdict::Allowed)
    }

    /// SDK, Room or Task.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The role that it claims.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// When it claims to expire; `None`: never.
    #[must_use]
    pub const fn expire_at(&self) -> Option<UnixMillis> {
        self.expire_at
    }

    /// The access key that it names.
    #[must_use]
    pub fn access_key(&self) -> &str {
        self.claim("ak")
    }

    /// What makes it unique.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.claim("nonce")
    }

    /// The room or task that it is bound to; empty for an SDK token.
    #[must_use]
    pub fn uuid(&self) -> &str {
        if self.kind == Kind::Sdk { "" } else { self.claim("uuid") }
    }

    fn claim(&self, wanted: &str) -> &str {
        self.claims.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("kind", &self.kind)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Whether it verifies what it signs.
    #[must_use]
    pub fn verifies_itself(&self) -> bool {
        let claims = Claims { scope: Scope::Sdk, role: Role::Reader, expire_at: Some(UnixMillis::EPOCH) };
        let token = self.sign(&claims, &Nonce::random([0; 16]));
        Presented::parse(token.expose()).is_ok_and(|token| token.is_signed_by(self))
    }
}

/// Verifies a parsed token: access key (`key` is the one that it names, if it is known and
/// may be used), signature, expiry, room or task, role, in this order.
///
/// # Errors
/// The first of these that does not hold.
pub fn verify(
    token: &Presented,
    key: Option<&SigningKey>,
    now: UnixMillis,
    wanted: &Wanted<'_>,
) -> Result<(), TokenError> {
    let key = key.ok_or(TokenError::Team)?;
    if !token.is_signed_by(key) {
        return Err(TokenError::Signature);
    }
    if token.is_expired(now) {
        return Err(TokenError::Expired);
    }
    token.permits(wanted)
}

/// Decimal digits alone: `u64::from_str` would take a leading `+`.
fn parse_millis(text: &str) -> Option<UnixMillis> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok().and_then(UnixMillis::new))?
}
