//! The one way of a call that creates a room or a conversion: authorize, record, act once for its
//! idempotency key, sign, record, answer.
//!
//! What is created is handed in as a [`Create`]. This module does not know what a room is.

use std::sync::Arc;

use futures_util::FutureExt;
use prost::Message;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{
    call::CallContext,
    error::{Error, FoundBy, Withheld},
    idempotency::{Arguments, IdempotencyError, IdempotencyKey, IdempotencyStore, Replay},
    issuing::{Authorizer, Issued, Made, Record, UpstreamParams, UpstreamPermit},
    methods::Rpc,
    policy::Mint,
    proto,
    region::Region,
    shares::{Holder, Shares},
    token::{Scope, Uuid},
    whiteboard::{self, Access, Whiteboard},
};

/// How many creating calls may be under way at once, those included that wait for another one's outcome. Some of them
/// are upstream, for which there are places of their own.
const MOST_CREATIONS: usize = 1024;

/// Something to create upstream.
pub trait Create: Clone + Send + Sync + 'static {
    /// The call that creates it.
    const RPC: Rpc;

    /// What is made: kept, encoded, for the idempotency key.
    type Created: Made + Message + Default + Send + 'static;

    /// What a token for it opens.
    fn scope(uuid: Uuid<'_>) -> Scope<'_>;

    /// Sends the POST, once.
    fn send(
        self,
        whiteboard: &Whiteboard,
        access: &Access,
    ) -> impl Future<Output = Result<Self::Created, whiteboard::Error>> + Send;
}

/// What a creating call asks for, beside what is created.
#[derive(Clone, Debug)]
pub struct CreateParams {
    /// The project; empty: the default one.
    pub project: String,
    /// Where; `None`: the project's default region.
    pub region: Option<Region>,
    /// The token to mint for what is created.
    pub token_grant: Option<Mint>,
    /// The caller's `request_id`, with a digest of all other arguments.
    pub request_id: Option<(String, Arguments)>,
}

/// What was created, and the token for it.
pub struct Created<T> {
    /// The room or conversion.
    pub made: T,
    /// As `token_grant` asked for.
    pub token: Option<proto::Token>,
    /// Whether an earlier call with the same `request_id` created it.
    pub replayed: bool,
}

/// Creates. Cloning it is cheap.
#[derive(Clone)]
pub struct Creator {
    authorizer: Arc<Authorizer>,
    whiteboard: Whiteboard,
    idempotency: Arc<dyn IdempotencyStore>,
    tasks: TaskTracker,
    places: Arc<Shares>,
}

impl Creator {
    /// `tasks` owns every creation, and is waited for before the process ends.
    #[must_use]
    pub fn new(
        authorizer: Arc<Authorizer>,
        whiteboard: Whiteboard,
        idempotency: Arc<dyn IdempotencyStore>,
        tasks: TaskTracker,
    ) -> Self {
        let places = Shares::new("creating calls", MOST_CREATIONS);
        Self { authorizer, whiteboard, idempotency, tasks, places }
    }

    /// The places of creating calls.
    #[must_use]
    pub const fn places(&self) -> &Arc<Shares> {
        &self.places
    }

    /// What is kept for the `request_id`s.
    #[must_use]
    pub fn request_ids(&self) -> &Arc<Shares> {
        self.idempotency.room()
    }

    /// Creates something, to its end whether or not its caller waits: a caller that leaves takes
    /// nothing out of the audit trail. No caller's streams bound these tasks, so they have a bound of
    /// their own.
    ///
    /// # Errors
    /// [`Error::NoShare`] beyond that bound; what authorization refuses; what the upstream answers;
    /// [`Error::TokenWithheld`] where something was created without its token.
    pub async fn create<C: Create>(
        &self,
        call: CallContext,
        params: CreateParams,
        what: C,
    ) -> Result<Created<C::Created>, Error> {
        let place =
            self.places.take(Holder::Principal(call.principal.as_str()), 1).map_err(Error::NoShare)?;
        let repeats_safely = params.request_id.is_some() && self.idempotency.holds_across_replicas();
        if repeats_safely {
            call.effect.set_repeats_safely();
        }
        let creator = self.clone();
        let creation = async move {
            let _place = place;
            creator.run(&call, &params, what).await
        };
        let created = self.tasks.spawn(creation.in_current_span()).await;
        let created = created.unwrap_or(Err(Error::Internal("a creating call broke off")));
        created.map_err(|error| if repeats_safely { error.repeated_safely() } else { error })
    }

    async fn run<C: Create>(
        &self,
        call: &CallContext,
        params: &CreateParams,
        what: C,
    ) -> Result<Created<C::Created>, Error> {
        let key = params.request_id.as_ref().map(|(request_id, _)| request_id.to_ascii_lowercase());
        let record = Record::new(call, C::RPC, "").with_idempotency_key(key.as_deref().unwrap_or_default());
        let CreateParams { project, region, token_grant, .. } = params;
        let asked = UpstreamParams { project, access_key: "", region: *region, token_grant: *token_grant };
        let (permit, _) = self.authorizer.permit(&record, &asked).await?;
        let mut access = permit.access.clone();
        if params.request_id.is_none() {
            // Before the decision is recorded: what is refused in an overload must cost little. One with a `request_id` may
            // need no place, because it was done before.
            access.place = Some(self.whiteboard.place(&access).map_err(Error::upstream(C::RPC))?);
        }
        self.authorizer.trail.record_decision(&record, &permit).await?;

        let (made, replayed) = self.act_once(call, params, &access, what).await;
        drop(access);
        let record = record.of_a_replay(replayed);
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                return Err(self
                    .authorizer
                    .trail
                    .record_failure(&record, &permit, None::<&C::Created>, error)
                    .await);
            }
        };
        let found_by = match &params.request_id {
            None => FoundBy::Nothing,
            Some(_) if self.idempotency.holds_across_replicas() => FoundBy::RequestIdAnywhere,
            Some(_) => FoundBy::RequestIdHere,
        };
        let withheld = |why| Error::TokenWithheld { why, found_by };
        let issued = match self.sign::<C>(&permit, &made, withheld) {
            Ok(issued) => issued,
            Err(error) => {
                return Err(self.authorizer.trail.record_failure(&record, &permit, Some(&made), error).await);
            }
        };
        let recorded = self.authorizer.trail.record_outcome(&record, &permit, &made, issued.as_ref()).await;
        recorded.map_err(withheld)?;
        let token = issued.map(proto::Token::from);
        Ok(Created { made, token, replayed })
    }

    /// Sends the POST: once for a caller's `request_id`, without one always. Also whether an earlier call did.
    async fn act_once<C: Create>(
        &self,
        call: &CallContext,
        params: &CreateParams,
        access: &Access,
        what: C,
    ) -> (Result<C::Created, Error>, bool) {
        let Some((request_id, arguments)) = &params.request_id else {
            return (what.send(&self.whiteboard, access).await.map_err(Error::upstream(C::RPC)), false);
        };
        let (caller, request_id) = (call.principal.clone(), request_id.to_ascii_lowercase());
        let key = IdempotencyKey { caller, rpc: C::RPC, request_id };
        let outcome = loop {
            let (what, whiteboard, access) = (what.clone(), self.whiteboard.clone(), access.clone());
            let act = async move { what.send(&whiteboard, &access).await.map(|made| made.encode_to_vec()) };
            match self.idempotency.once(key.clone(), *arguments, act.boxed()).await {
                // Another call's caller left too soon, and nothing was sent: that says nothing of this one.
                Ok(Replay { result: Err(whiteboard::Error::TooLate), replayed: true }) => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Err(error) => (Err(Error::Idempotency(error)), false),
            Ok(Replay { result: Err(error), replayed }) => (Err(Error::upstream(C::RPC)(error)), replayed),
            Ok(Replay { result: Ok(made), replayed }) => {
                let made = C::Created::decode(&*made);
                (made.map_err(|_| Error::Idempotency(IdempotencyError::Lost)), replayed)
            }
        }
    }

    /// Signs the token that was asked for, with the key that created.
    fn sign<'a, C: Create>(
        &self,
        permit: &UpstreamPermit,
        made: &'a C::Created,
        withheld: impl Fn(Withheld) -> Error,
    ) -> Result<Option<Issued<'a>>, Error> {
        let Some(minting) = permit.token_grant else { return Ok(None) };
        let uuid = Uuid::new(made.uuid()).ok_or_else(|| {
            let detail = "what was created has no uuid".to_owned();
            Error::upstream(C::RPC)(whiteboard::Error::OutcomeUnknown { detail })
        })?;
        let key = permit.project.signing_key(made.access_key());
        let key = key.ok_or_else(|| withheld(Withheld::KeyGone))?;
        let now = self.authorizer.stability.now().map_err(|_| withheld(Withheld::ClockUnstable))?;
        Ok(Some(self.authorizer.sign(minting, key, C::scope(uuid), now)))
    }
}
