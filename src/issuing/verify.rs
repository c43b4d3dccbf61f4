//! Verification: what a token is worth, to a caller who may ask.

use std::sync::Arc;

use super::{Authorizer, trail::add_to_span};
use crate::{
    error::Error,
    keyring::Project,
    methods::Rpc,
    policy::{Denial, MissingRight},
    principal::Principal,
    telemetry::traced_span,
    token::{Presented, TokenError, Wanted, verify},
};

/// What a token is worth.
#[derive(Debug)]
pub struct Verification {
    /// `Ok`, or the first thing that is wrong.
    pub result: Result<(), TokenError>,
    /// What it says, where it could be read.
    pub presented: Option<Presented>,
    /// The project whose key it names.
    pub project: Option<Arc<Project>>,
}

impl Authorizer {
    /// Verifies a token. `project`: whose key it must be; empty: any that the caller may verify for.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::ClockUnstable`]. That the token is invalid is no error.
    pub fn verify(
        &self,
        principal: &Principal,
        token: &str,
        project: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Verification, Error> {
        let verify = || self.verify_uncounted(principal, token, project, wanted);
        let verified = traced_span!("authorize").in_scope(verify);
        self.trail.count(verified.as_ref().err());
        let known = verified.as_ref().ok().and_then(|verified| Some((verified.project.as_ref()?, verified)));
        let access_key = known.and_then(|(_, verified)| Some(verified.presented.as_ref()?.access_key()));
        add_to_span(&[
            ("inkpass.project", known.map_or(project, |(owner, _)| owner.name())),
            ("inkpass.access_key", access_key.unwrap_or_default()),
        ]);
        verified
    }

    fn verify_uncounted(
        &self,
        principal: &Principal,
        token: &str,
        project: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Verification, Error> {
        let (keyring, rules) = (self.keyring.load(), self.rules.load());
        let verifiable = rules.may_verify(principal.as_str());
        let meant = match project {
            "" if verifiable.is_empty() => return Err(Denial::PolicyDenied(MissingRight::Rpc).into()),
            "" => None,
            name => {
                let project = keyring.project(name).ok_or(Denial::ProjectUnknown)?;
                rules.admit(principal.as_str(), project.name())?.decide(Rpc::VerifyToken, None, None)?;
                Some(project)
            }
        };
        let presented = match Presented::parse(token) {
            Ok(presented) => presented,
            Err(error) => return Ok(Verification { result: Err(error), presented: None, project: None }),
        };
        let usable = keyring.find(presented.access_key()).filter(|(owner, _)| match meant {
            Some(meant) => meant.name() == owner.name(),
            None => verifiable.contains(owner.name()),
        });
        let result = verify(&presented, usable.map(|(_, key)| &**key), self.stability.now()?, wanted);
        let project = usable.map(|(project, _)| project.clone());
        Ok(Verification { result, presented: Some(presented), project })
    }
}
