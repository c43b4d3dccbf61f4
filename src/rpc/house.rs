//! What the services work with, and what several of their calls do alike.

use std::{slice::from_ref, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use prost::{Message, Name};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Request;
use tracing::Instrument;

use super::{
    Caller, Desk, Error, convert,
    explain::explain,
    record::{Created, Entry},
    status::Missing,
    target::Target,
    violations::Violations,
};
use crate::{
    clock::Clock,
    entropy::Entropy,
    issuer::{Ask, Issued, Minting, Permit},
    methods::Rpc,
    outcome::{InMemory, Key, Outcomes},
    policy::{Mint, WatchSlot},
    proto::{Token, TokenGrant},
    token::{Kind, Scope, Uuid},
    watcher::{self, Watcher},
    whiteboard::{self, Access, Whiteboard},
};

/// How many creating calls may be under way at once. One lasts as long as its call upstream, so these
/// are some thousand a second.
const MOST_CREATIONS: usize = 256;

/// What the services work with.
pub struct House {
    /// Decides, counts and writes down.
    pub desk: Desk,
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
    /// Places for creating calls.
    creations: Arc<Semaphore>,
}

/// A creating call under way.
pub(super) struct Creation {
    pub(super) caller: Caller,
    pub(super) rpc: Rpc,
    pub(super) permit: Permit,
    pub(super) request_id: String,
}

impl House {
    /// Puts the parts together; request ids are remembered in this process.
    pub fn new(
        desk: Desk,
        whiteboard: Whiteboard,
        watch: watcher::Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let keyring = desk.issuer.keyring().clone();
        let watcher =
            Watcher::new(whiteboard.clone(), keyring, entropy, watch, tasks.clone(), stopping.clone());
        Arc::new(Self {
            desk,
            watcher,
            whiteboard,
            outcomes: Arc::new(InMemory::new(clock, tasks.clone())),
            tasks,
            stopping,
            creations: Arc::new(Semaphore::new(MOST_CREATIONS)),
        })
    }

    /// Decides a call that goes upstream, and writes it down before it does. The place is to be
    /// kept for as long as the call watches.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
    ) -> Result<(Permit, Access, WatchSlot), Error> {
        let (permit, place) = self.desk.decide(caller, entry).await?;
        let region = permit.region.ok_or(Error::Internal("a call upstream was allowed without a region"))?;
        self.desk.allow(caller, entry, from_ref(&permit), &[]).await?;
        let access = Access { key: permit.key.clone(), region };
        Ok((permit, access, place))
    }

    /// Decides a call on a room or conversion that exists.
    pub(super) async fn access_to<T>(
        &self,
        rpc: Rpc,
        request: &Request<T>,
        target: &Target<'_>,
    ) -> Result<(Access, WatchSlot), Error> {
        let Target { project, access_key, region, uuid } = *target;
        let ask = Ask { rpc, project, access_key, region, mint: None };
        let entry = Entry { uuid: uuid.as_str(), ..Entry::of(ask) };
        let (_, access, place) = self.admit(&Caller::of(request), &entry).await?;
        Ok((access, place))
    }

    /// Creates to the end, whether or not its caller waits for that: one that leaves takes nothing out
    /// of the audit trail. So many at once, because no caller's stream bounds them.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.creations.clone().try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let work = async move {
            let _place = place;
            work.await
        };
        let done = self.tasks.spawn(work.in_current_span()).await;
        done.unwrap_or(Err(Error::Internal("a creating call broke off")))
    }

    /// Creates something, once for a caller's request id, without one always; and mints the token
    /// that was asked for beside it, with the key that created. What came of it is written down
    /// before it is told.
    pub(super) async fn create<R, T>(
        &self,
        creation: Creation,
        request: R,
        act: BoxFuture<'static, Result<T, whiteboard::Error>>,
        identity: fn(&T) -> Created,
    ) -> Result<(T, Option<Token>), Error>
    where
        R: Message,
        T: Message + Name + Default + Send + 'static,
    {
        let Creation { caller, rpc, permit, request_id } = creation;
        let (caller, permit) = (&caller, &permit);
        let can_be_repeated = !request_id.is_empty();
        let made = match self.act_once(caller, rpc, request_id, request, act).await {
            Ok(made) => made,
            Err(error) => {
                self.desk.outcome(caller, rpc, permit, None, Err(explain(&error).0)).await?;
                return Err(error);
            }
        };
        let created = identity(&made);
        let minted = permit.mint.map(|minting| self.mint_beside(permit, minting, &created)).transpose();
        match minted {
            Ok(minted) => {
                let issued = minted.as_ref().map(|(issued, _)| issued);
                let written = self.desk.outcome(caller, rpc, permit, Some(&created), Ok(issued)).await;
                written.map_err(|_| Error::OutcomeUnwritten { can_be_repeated })?;
                Ok((made, minted.map(|(_, token)| token)))
            }
            Err(error) => {
                // What was created stands in the trail, though its token was never made.
                self.desk.outcome(caller, rpc, permit, Some(&created), Err(explain(&error).0)).await?;
                Err(error)
            }
        }
    }

    /// The token for what was created, by the key that created it.
    fn mint_beside(
        &self,
        permit: &Permit,
        minting: Minting,
        created: &Created,
    ) -> Result<(Issued, Token), Error> {
        let id = Uuid::new(&created.uuid)
            .ok_or(Error::Internal("the upstream created something without a uuid"))?;
        let scope = if minting.kind == Kind::Room { Scope::Room(id) } else { Scope::Task(id) };
        let key = permit.project.signing_key(&created.access_key).ok_or(Error::CreatorGone)?;
        let issued = self.desk.issuer.sign(minting, key, scope, self.desk.issuer.now()?);
        let token = convert::token(&issued, scope, minting.role, &created.access_key);
        Ok((issued, token))
    }

    async fn act_once<R, T>(
        &self,
        caller: &Caller,
        rpc: Rpc,
        request_id: String,
        request: R,
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
        let key = Key {
            caller: caller.principal.clone(),
            rpc: rpc.name(),
            request_id: request_id.to_ascii_lowercase(),
        };
        let arguments = Sha256::digest(request.encode_to_vec()).into();
        let act = act.map(|created| created.map(|created| created.encode_to_vec())).boxed();
        let encoded =
            self.outcomes.once(key, arguments, act).await.map_err(Error::Outcome)?.map_err(failed)?;
        T::decode(&*encoded).map_err(|_| Error::Internal("an outcome that cannot be decoded"))
    }
}

/// A grant beside a creating call: its role and validity are read as `IssueToken`'s are.
pub(super) fn grant(wanted: Option<&TokenGrant>, kind: Kind, violations: &mut Violations) -> Option<Mint> {
    let wanted = wanted?;
    let role = convert::role(wanted.role, "token_grant.role", violations);
    let lifetime = convert::granted_lifetime(wanted.validity.as_ref(), violations);
    Some(Mint { kind, role: role?, lifetime: lifetime? })
}
