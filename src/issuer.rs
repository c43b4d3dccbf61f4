//! The way of a token: the policy decides, the keyring lends a key, the core signs.
//!
//! Deciding and signing are two steps, because a token beside a new room is decided before the
//! room is asked for and signed after it exists.

use std::sync::Arc;

use crate::{
    clock::{Clock, UnixMillis},
    entropy::Entropy,
    keyring::{Keyring, Project},
    policy::{self, Policy},
    token::{
        Claims, Fingerprint, Fingerprinter, Kind, Lifetime, Nonce, Presented, Role, Scope, SigningKey,
        TokenError, TokenValue, Wanted, verify,
    },
};

/// Mints and verifies tokens. Nothing here leaves the process.
pub struct Issuer {
    keyring: Keyring,
    policy: Policy,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    fingerprinter: Fingerprinter,
}

/// What a caller asks to mint, but for what the token is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The kind of token.
    pub kind: Kind,
    /// Its role.
    pub role: Role,
    /// How long it is to live; `None`: the default of its kind.
    pub lifetime: Option<Lifetime>,
}

/// A grant that was allowed, and what it was allowed with.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    role: Role,
    lifetime: Lifetime,
}

impl Allowed {
    /// The role that was allowed.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }
}

/// Why nothing is minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such project.
    #[error("the project is unknown")]
    ProjectUnknown,
    /// The policy does not allow it.
    #[error("the policy refuses")]
    Policy(policy::Refusal),
    /// The key is not the project's, or may not sign.
    #[error("the access key is unknown")]
    AccessKeyUnknown,
}

/// A token, and what may be told of it.
#[derive(Debug)]
pub struct Issued {
    /// The token itself: a secret.
    pub value: TokenValue,
    /// When it expires; `None`: never.
    pub expire_at: Option<UnixMillis>,
    /// Names it in logs.
    pub fingerprint: Fingerprint,
}

/// What a token is worth.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// `Ok`, or the first thing that is wrong.
    pub result: Result<(), TokenError>,
    /// What it says, where it could be read.
    pub presented: Option<Presented>,
    /// The project whose key it names.
    pub project: Option<&'a Project>,
}

impl Issuer {
    /// Puts the parts together.
    pub fn new(keyring: Keyring, policy: Policy, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(&entropy.bytes());
        salt[16..].copy_from_slice(&entropy.bytes());
        Self { keyring, policy, clock, entropy, fingerprinter: Fingerprinter::new(&salt) }
    }

    /// A project by its name; the default one where `name` is empty.
    ///
    /// # Errors
    /// [`Refusal::ProjectUnknown`].
    pub fn project(&self, name: &str) -> Result<&Project, Refusal> {
        self.keyring.project(name).ok_or(Refusal::ProjectUnknown)
    }

    /// Decides a grant.
    ///
    /// # Errors
    /// [`Refusal::Policy`].
    pub fn decide(&self, grant: &Grant) -> Result<Allowed, Refusal> {
        let lifetime = self.policy.lifetime(grant.kind, grant.lifetime).map_err(Refusal::Policy)?;
        Ok(Allowed { role: grant.role, lifetime })
    }

    /// The key of a project to sign with: the one named, or the active one.
    ///
    /// # Errors
    /// [`Refusal::AccessKeyUnknown`].
    pub fn key<'a>(&self, project: &'a Project, access_key: &str) -> Result<&'a Arc<SigningKey>, Refusal> {
        project.signing_key(access_key).ok_or(Refusal::AccessKeyUnknown)
    }

    /// Signs what was allowed. The policy allows no lifetime that would end after the year 9999.
    #[must_use]
    pub fn sign(&self, allowed: Allowed, key: &SigningKey, scope: Scope<'_>, now: UnixMillis) -> Issued {
        let _signing = tracing::debug_span!("sign", token.kind = scope.kind().as_str()).entered();
        let expire_at = allowed.lifetime.expire_at(now).unwrap_or(Some(UnixMillis::MAX));
        let claims = Claims { scope, role: allowed.role, expire_at };
        let value = key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        let fingerprint = self.fingerprinter.of(value.expose());
        Issued { value, expire_at, fingerprint }
    }

    /// Judges a token. `project`: whose key it must be; empty: any.
    ///
    /// # Errors
    /// [`Refusal::ProjectUnknown`]; that the token is invalid is no error.
    pub fn verify(&self, token: &str, project: &str, wanted: &Wanted<'_>) -> Result<Verdict<'_>, Refusal> {
        let meant = if project.is_empty() { None } else { Some(self.project(project)?) };
        let presented = match Presented::parse(token) {
            Ok(presented) => presented,
            Err(error) => return Ok(Verdict { result: Err(error), presented: None, project: None }),
        };
        let found = self.keyring.find(presented.access_key());
        let usable = found.filter(|(owner, _)| meant.is_none_or(|meant| meant.name() == owner.name()));
        let result = verify(&presented, usable.map(|(_, key)| &**key), self.clock.now(), wanted);
        Ok(Verdict { result, presented: Some(presented), project: usable.map(|(project, _)| project) })
    }

    /// The time by which tokens expire.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Signs and verifies with every key, as a check before any is used.
    ///
    /// # Errors
    /// The access key of the first that does not verify what it signed.
    pub fn self_check(&self) -> Result<(), String> {
        let claims = Claims { scope: Scope::Sdk, role: Role::Reader, expire_at: Some(self.now()) };
        for key in self.keyring.projects().flat_map(Project::keys) {
            let token = key.sign(&claims, &Nonce::random(self.entropy.bytes()));
            let verifies = Presented::parse(token.expose()).is_ok_and(|read| read.is_signed_by(key));
            if !verifies {
                return Err(key.access_key().to_owned());
            }
        }
        Ok(())
    }
}
