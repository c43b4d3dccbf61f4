//! The three calls that mint tokens.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Call, CallResult, Caller, World};
use crate::token::{Claims, Lifetime, Nonce, Role, Scope, SigningKey, TokenError, Uuid};

/// `POST /v5/tokens/teams`: a key pair makes an SDK token.
pub(super) fn mint_sdk(world: &mut World, call: &Call) -> CallResult {
    let Credentials { access_key, secret_access_key, grant } = call.json()?;
    call.check_region()?;
    let (_, known) = world.active_key(&access_key).ok_or(TokenError::Team)?;

    let given =
        SigningKey::new(&access_key, secret_access_key.as_bytes()).map_err(|_| TokenError::Signature)?;
    if !given.has_secret_of(known) {
        return Err(TokenError::Signature.into());
    }
    grant.sign(world, call, Scope::Sdk, known)
}

/// `POST /v5/tokens/rooms/{uuid}`: an SDK token makes a Room token.
pub(super) fn mint_room(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let grant: Grant = call.json()?;
    grant.check(caller)?;
    grant.sign(world, call, Scope::Room(bound_to(call.room())?), &caller.key)
}

/// `POST /v5/tokens/tasks/{uuid}`: an SDK token makes a Task token. `ak` names another access key
/// of the same project to sign with.
pub(super) fn mint_task(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let TaskGrant { ak, grant } = call.json()?;
    grant.check(caller)?;
    let key = match &ak {
        None => &caller.key,
        Some(access_key) => world
            .active_key(access_key)
            .filter(|(project, _)| *project == caller.partition_key.project)
            .map(|(_, key)| key)
            .ok_or_else(|| ApiError::invalid("ak is not an access key of this project"))?,
    };
    grant.sign(world, call, Scope::Task(bound_to(call.task())?), key)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    access_key: String,
    secret_access_key: String,
    #[serde(flatten)]
    grant: Grant,
}

#[derive(Deserialize)]
struct TaskGrant {
    ak: Option<String>,
    #[serde(flatten)]
    grant: Grant,
}

/// The parameters that all minting calls share.
#[derive(Deserialize)]
struct Grant {
    role: RoleName,
    /// Milliseconds; none or zero: for ever.
    lifespan: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Admin,
    Writer,
    Reader,
}

impl Grant {
    const fn role(&self) -> Role {
        match self.role {
            RoleName::Admin => Role::Admin,
            RoleName::Writer => Role::Writer,
            RoleName::Reader => Role::Reader,
        }
    }

    /// The caller's own role or a weaker one.
    fn check(&self, caller: &Caller) -> Result<(), ApiError> {
        if self.role() < caller.role {
            return Err(TokenError::Role(caller.role).into());
        }
        Ok(())
    }

    fn sign(&self, world: &World, call: &Call, scope: Scope<'_>, key: &SigningKey) -> CallResult {
        let expire_at = match self.lifespan {
            None | Some(0) => Ok(None),
            Some(millis) => {
                Lifetime::ttl(Duration::from_millis(millis)).and_then(|ttl| ttl.expire_at(call.now))
            }
        };
        let expire_at =
            expire_at.map_err(|_| ApiError::invalid("lifespan must end before the year 10000"))?;
        let claims = Claims { scope, role: self.role(), expire_at };
        let token = key.sign(&claims, &Nonce::random(world.random_bytes()));
        Ok(Answer::created(json!(token.expose())))
    }
}

fn bound_to(uuid: &str) -> Result<Uuid<'_>, ApiError> {
    Uuid::new(uuid).ok_or_else(|| ApiError::invalid("uuid must not be empty"))
}
