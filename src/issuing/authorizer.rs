//! Who authorizes: the keys, the policy, the clock and the audit trail, in one place.

use std::sync::Arc;

use crate::{
    audit::{Audit, Line},
    entropy::Entropy,
    error::Error,
    keyring::{LiveKeyring, Project},
    policy::LiveRules,
    stability::Stability,
    token::Fingerprinter,
};

/// Decides what may be done, mints, verifies and records. Nothing here leaves the process.
pub struct Authorizer {
    /// The keys that sign.
    pub keyring: Arc<LiveKeyring>,
    /// The policy.
    pub rules: Arc<LiveRules>,
    /// The time, and whether it can be signed by.
    pub stability: Arc<Stability>,
    /// Makes nonces.
    pub entropy: Arc<dyn Entropy>,
    /// Names tokens in the audit trail.
    pub fingerprinter: Fingerprinter,
    /// Where decisions are recorded; `None`: nowhere.
    pub audit: Option<Arc<Audit>>,
}

impl Authorizer {
    /// A project by its name; the default one where it is empty.
    pub(super) fn project(&self, name: &str) -> Option<Arc<Project>> {
        self.keyring.now().project(name).cloned()
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

    /// Writes an audit line; done once it is accepted. Without an audit trail there is nothing to do.
    pub(super) async fn write(&self, line: &Line<'_>) -> Result<(), Error> {
        let Some(audit) = &self.audit else { return Ok(()) };
        audit.write(line).await.map_err(|_| Error::AuditUnavailable)
    }

    /// Writes an audit line of what has happened already. No call is refused for it.
    pub(super) async fn note(&self, line: &Line<'_>) {
        if let Some(audit) = &self.audit {
            audit.note(line).await;
        }
    }
}
