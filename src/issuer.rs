//! The way of a token: the policy decides, the keyring lends a key, the core signs.
//!
//! Deciding and signing are two steps, because a token beside a new room is decided before the
//! room is asked for and signed after it exists.

use std::{sync::Arc, time::Instant};

use crate::{
    caller::Principal,
    clock::UnixMillis,
    entropy::Entropy,
    keyring::{Keyring, LiveKeyring, Project},
    methods::Rpc,
    policy::{Denial, Grant, LiveRules, Mint, MissingRight, QuotaExceeded, Rules, WatchSlot, charge_batch},
    region::Region,
    stability::{Stability, Unstable},
    token::{
        Claims, Fingerprint, Fingerprinter, Kind, Lifetime, Nonce, Presented, Role, Scope, SigningKey,
        TokenError, TokenValue, Wanted, verify,
    },
};

/// Decides what may be done, and mints and verifies tokens. Nothing here leaves the process.
pub struct Issuer {
    keyring: Arc<LiveKeyring>,
    rules: Arc<LiveRules>,
    stability: Arc<Stability>,
    entropy: Arc<dyn Entropy>,
    fingerprinter: Fingerprinter,
}

/// What a call wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The call.
    pub rpc: Rpc,
    /// The project; empty: the default one.
    pub project: &'a str,
    /// The key to sign with; empty: the active one.
    pub access_key: &'a str,
    /// Where it goes; `None`: the project's default region.
    pub region: Option<Region>,
    /// What it mints.
    pub mint: Option<Mint>,
}

/// A call that is allowed, and what it is allowed with.
#[derive(Clone, Debug)]
pub struct Permit {
    /// The project that was meant.
    pub project: Arc<Project>,
    /// Signs whatever the call needs.
    pub key: Arc<SigningKey>,
    /// Where it goes, if it goes upstream.
    pub region: Option<Region>,
    /// The grant that allows it.
    pub grant: Arc<Grant>,
    /// What it mints.
    pub mint: Option<Minting>,
}

/// A token that may be minted.
#[derive(Clone, Copy, Debug)]
pub struct Minting {
    /// Its kind.
    pub kind: Kind,
    /// Its role.
    pub role: Role,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Why a call is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// By the policy; or there is no such project, which is no caller's business.
    #[error("the policy refuses: {0}")]
    Denied(#[from] Denial),
    /// The call goes upstream, and neither it nor the project names a region.
    #[error("no region is named")]
    RegionRequired,
    /// The key is not the project's, or may not sign.
    #[error("the access key is unknown")]
    AccessKeyUnknown,
    /// The caller's quota is used up.
    #[error("{0}")]
    QuotaExceeded(#[from] QuotaExceeded),
    /// The time cannot be trusted.
    #[error("{0}")]
    ClockUnstable(#[from] Unstable),
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
pub struct Verdict {
    /// `Ok`, or the first thing that is wrong.
    pub result: Result<(), TokenError>,
    /// What it says, where it could be read.
    pub presented: Option<Presented>,
    /// The project whose key it names.
    pub project: Option<Arc<Project>>,
}

impl Issuer {
    /// Puts the parts together.
    pub fn new(
        keyring: Arc<LiveKeyring>,
        rules: Arc<LiveRules>,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        fingerprinter: Fingerprinter,
    ) -> Self {
        Self { keyring, rules, stability, entropy, fingerprinter }
    }

    /// Whether a caller may do what it asks for. Its quota is not asked yet.
    ///
    /// # Errors
    /// [`Refusal`]: the first in the order of its variants, but that nothing of a project is looked
    /// at before the project is allowed.
    pub fn decide(&self, caller: &Principal, ask: &Ask<'_>) -> Result<Permit, Refusal> {
        decide(&self.keyring.now(), &self.rules.now(), caller, ask)
    }

    /// The same for all of a batch, by the keys and rules of one moment.
    ///
    /// # Errors
    /// Which is refused first, and why.
    pub fn decide_all(&self, caller: &Principal, asks: &[Ask<'_>]) -> Result<Vec<Permit>, (usize, Refusal)> {
        let (keyring, rules) = (self.keyring.now(), self.rules.now());
        let permits = asks
            .iter()
            .enumerate()
            .map(|(index, ask)| decide(&keyring, &rules, caller, ask).map_err(|refusal| (index, refusal)));
        permits.collect()
    }

    /// Counts an allowed call against its caller's quota. The place is to be kept for as long as
    /// the call watches.
    ///
    /// # Errors
    /// [`Refusal::QuotaExceeded`].
    pub fn charge(&self, caller: &Principal, rpc: Rpc, permit: &Permit) -> Result<WatchSlot, Refusal> {
        let cost = rpc.cost(u32::from(permit.mint.is_some()));
        Ok(permit.grant.charge(caller.as_str(), cost, Instant::now())?)
    }

    /// Counts a batch, all of it or nothing.
    ///
    /// # Errors
    /// [`Refusal::QuotaExceeded`].
    pub fn charge_batch(&self, caller: &Principal, permits: &[Permit]) -> Result<(), Refusal> {
        let grants: Vec<_> = permits.iter().map(|permit| &*permit.grant).collect();
        Ok(charge_batch(caller.as_str(), &grants, Instant::now())?)
    }

    /// Signs what was allowed. The policy allows no lifetime that would end after the year 9999.
    #[must_use]
    pub fn sign(&self, minting: Minting, key: &SigningKey, scope: Scope<'_>, now: UnixMillis) -> Issued {
        let _signing = tracing::debug_span!("sign", token.kind = scope.kind().as_str()).entered();
        let expire_at = minting.lifetime.expire_at(now).unwrap_or(Some(UnixMillis::MAX));
        let claims = Claims { scope, role: minting.role, expire_at };
        let value = key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        let fingerprint = self.fingerprinter.of(value.expose());
        Issued { value, expire_at, fingerprint }
    }

    /// Judges a token. `project`: whose key it must be; empty: any that the caller may verify for.
    ///
    /// # Errors
    /// [`Refusal::Denied`]; that the token is invalid is no error.
    pub fn verify(
        &self,
        caller: &Principal,
        token: &str,
        project: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Verdict, Refusal> {
        let keyring = self.keyring.now();
        let rules = self.rules.now();
        let verifiable = rules.may_verify(caller.as_str());
        let meant = match project {
            "" if verifiable.is_empty() => return Err(Denial::PolicyDenied(MissingRight::Rpc).into()),
            "" => None,
            name => {
                let ask =
                    Ask { rpc: Rpc::VerifyToken, project: name, access_key: "", region: None, mint: None };
                Some(self.decide(caller, &ask)?.project)
            }
        };
        let presented = match Presented::parse(token) {
            Ok(presented) => presented,
            Err(error) => return Ok(Verdict { result: Err(error), presented: None, project: None }),
        };
        let usable = keyring.find(presented.access_key()).filter(|(owner, _)| match &meant {
            Some(meant) => meant.name() == owner.name(),
            None => verifiable.contains(owner.name()),
        });
        let result = verify(&presented, usable.map(|(_, key)| &**key), self.stability.now()?, wanted);
        let project = usable.map(|(project, _)| project.clone());
        Ok(Verdict { result, presented: Some(presented), project })
    }

    /// The keys that it signs with.
    #[must_use]
    pub const fn keyring(&self) -> &Arc<LiveKeyring> {
        &self.keyring
    }

    /// A project by its name; the default one where it is empty.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<Arc<Project>> {
        self.keyring.now().project(name).cloned()
    }

    /// The time by which tokens expire.
    ///
    /// # Errors
    /// [`Refusal::ClockUnstable`].
    pub fn now(&self) -> Result<UnixMillis, Refusal> {
        Ok(self.stability.now()?)
    }

    /// The time, whether or not it can be signed by: for what is written down.
    #[must_use]
    pub fn wall_time(&self) -> UnixMillis {
        self.stability.wall_time()
    }

    /// Signs and verifies with every key, as a check before any is used.
    ///
    /// # Errors
    /// The access key of the first that does not verify what it signed.
    pub fn self_check(&self) -> Result<(), String> {
        let keyring = self.keyring.now();
        let bad = keyring.projects().flat_map(|project| project.keys()).find(|key| !key.verifies_itself());
        bad.map_or(Ok(()), |key| Err(key.access_key().to_owned()))
    }
}

fn decide(keyring: &Keyring, rules: &Rules, caller: &Principal, ask: &Ask<'_>) -> Result<Permit, Refusal> {
    let project = keyring.project(ask.project).ok_or(Denial::ProjectUnknown)?;
    let admitted = rules.admit(caller.as_str(), project.name())?;
    let region = match ask.region.or(project.region()) {
        Some(region) if ask.rpc.goes_upstream() => Some(region),
        None if ask.rpc.goes_upstream() => return Err(Refusal::RegionRequired),
        _ => None,
    };
    let decision = admitted.decide(ask.rpc, region, ask.mint)?;
    let key = project.signing_key(ask.access_key).ok_or(Refusal::AccessKeyUnknown)?;
    let mint = ask.mint.zip(decision.lifetime);
    Ok(Permit {
        project: project.clone(),
        key: key.clone(),
        region,
        grant: decision.grant.clone(),
        mint: mint.map(|(Mint { kind, role, .. }, lifetime)| Minting { kind, role, lifetime }),
    })
}
