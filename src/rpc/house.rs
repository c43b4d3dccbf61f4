//! What the services work with, and what several of their calls do alike.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use prost::{Message, Name};
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Request;

use super::{Error, convert, status::Missing, target::Target, violations::Violations};
use crate::{
    caller::Principal,
    clock::Clock,
    entropy::Entropy,
    issuer::{Allowed, Grant, Issuer},
    keyring::Project,
    outcome::{InMemory, Key, Outcomes},
    proto::{Token, TokenGrant},
    region::Region,
    token::{Kind, Scope, Uuid},
    watcher::{self, Watcher},
    whiteboard::{self, Access, Whiteboard},
};

/// What the services work with.
pub struct House {
    /// Mints and verifies.
    pub issuer: Arc<Issuer>,
    /// The upstream.
    pub whiteboard: Whiteboard,
    /// Follows conversions.
    pub watcher: Arc<Watcher>,
    /// What request ids led to.
    pub outcomes: Arc<dyn Outcomes>,
    /// Owns every task that outlives its call.
    pub tasks: TaskTracker,
    /// Cancelled when the server is asked to stop: ends the watches.
    pub stopping: CancellationToken,
}

/// What a creating call was allowed to do, before anything is sent.
pub(super) struct Permit<'a> {
    project: &'a Project,
    pub(super) access: Access,
    grant: Option<Allowed>,
}

impl House {
    /// Puts the parts together; request ids are remembered in this process.
    pub fn new(
        issuer: Issuer,
        whiteboard: Whiteboard,
        watch: watcher::Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        Arc::new(Self {
            issuer: Arc::new(issuer),
            watcher: Watcher::new(whiteboard.clone(), entropy, watch, tasks.clone(), stopping.clone()),
            whiteboard,
            outcomes: Arc::new(InMemory::new(clock, tasks.clone())),
            tasks,
            stopping,
        })
    }

    /// Decides a creating call: project, grant, key and region.
    pub(super) fn permit(
        &self,
        project: &str,
        region: Option<Region>,
        grant: Option<Grant>,
    ) -> Result<Permit<'_>, Error> {
        let project = self.issuer.project(project)?;
        let grant = grant.map(|grant| self.issuer.decide(&grant)).transpose()?;
        let key = self.issuer.key(project, "")?.clone();
        Ok(Permit { project, access: Access { key, region: region_of(project, region)? }, grant })
    }

    /// Decides a call on a project as a whole.
    pub(super) fn access(&self, project: &str, region: Option<Region>) -> Result<(&Project, Access), Error> {
        let project = self.issuer.project(project)?;
        let key = self.issuer.key(project, "")?.clone();
        Ok((project, Access { key, region: region_of(project, region)? }))
    }

    /// Decides a call on a room or conversion that exists.
    pub(super) fn access_to(&self, target: &Target<'_>) -> Result<Access, Error> {
        let project = self.issuer.project(target.project)?;
        let key = self.issuer.key(project, target.access_key)?.clone();
        Ok(Access { key, region: region_of(project, target.region)? })
    }

    /// Creates something, once for a caller's request id; without one, always.
    pub(super) async fn create<R, T>(
        &self,
        (caller, rpc): (Principal, &'static str),
        request: R,
        request_id: String,
        act: BoxFuture<'static, Result<T, whiteboard::Error>>,
    ) -> Result<T, Error>
    where
        R: Message,
        T: Message + Name + Default + Send + 'static,
    {
        let failed = |error| Error::Upstream(error, Missing::Nothing);
        if request_id.is_empty() {
            return act.await.map_err(failed);
        }
        let key = Key { caller, rpc, request_id: request_id.to_ascii_lowercase() };
        let arguments = Sha256::digest(request.encode_to_vec()).into();
        let act = act.map(|created| created.map(|created| created.encode_to_vec())).boxed();
        let encoded =
            self.outcomes.once(key, arguments, act).await.map_err(Error::Outcome)?.map_err(failed)?;
        T::decode(&*encoded).map_err(|_| Error::Internal("an outcome that cannot be decoded"))
    }

    /// Signs the token that a creating call granted, with the key that created.
    pub(super) fn token_for(
        &self,
        permit: &Permit<'_>,
        kind: Kind,
        uuid: &str,
        access_key: &str,
    ) -> Result<Option<Token>, Error> {
        let Some(allowed) = permit.grant else { return Ok(None) };
        let uuid = Uuid::new(uuid).ok_or(Error::Internal("the upstream created something without a uuid"))?;
        let scope = if kind == Kind::Room { Scope::Room(uuid) } else { Scope::Task(uuid) };
        let key = self.issuer.key(permit.project, access_key)?;
        let issued = self.issuer.sign(allowed, key, scope, self.issuer.now());
        Ok(Some(convert::token(&issued, scope, allowed.role(), access_key)))
    }
}

/// Who sent a request. One that did not come through the server is nobody's.
pub(super) fn caller<T>(request: &Request<T>) -> Principal {
    request.extensions().get().cloned().unwrap_or_else(Principal::anonymous)
}

/// The region asked for, or the project's default.
fn region_of(project: &Project, asked: Option<Region>) -> Result<Region, Error> {
    asked
        .or(project.region())
        .ok_or_else(|| Error::invalid("region", "is required: the project has no default region"))
}

/// A grant beside a creating call: its role and validity are read as `IssueToken`'s are.
pub(super) fn grant(wanted: Option<&TokenGrant>, kind: Kind, violations: &mut Violations) -> Option<Grant> {
    let wanted = wanted?;
    let role = convert::role(wanted.role, "token_grant.role", violations);
    let lifetime = convert::granted_lifetime(wanted.validity.as_ref(), violations);
    Some(Grant { kind, role: role?, lifetime: lifetime? })
}
