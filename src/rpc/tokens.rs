//! `TokenService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{Error, batch, convert, violations::Violations};
use crate::{
    clock::UnixMillis,
    issuer::{Allowed, Grant, Issuer, Refusal, Verdict},
    proto::{
        self, BatchIssueTokensRequest, BatchIssueTokensResponse, IssueTokenRequest, IssueTokenResponse,
        Token, TokenClaims, VerifyTokenRequest, VerifyTokenResponse, issue_token_request,
        token_service_server::TokenService,
    },
    token::{Permission, Presented, Scope, SigningKey, Uuid, Wanted},
};

/// The longest token that is verified, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Also usable without a server: the offline commands call it in the process.
pub struct Tokens {
    issuer: Arc<Issuer>,
}

impl Tokens {
    /// Mints and verifies with `issuer`.
    #[must_use]
    pub const fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer }
    }
}

#[async_trait]
impl TokenService for Tokens {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let mut violations = Violations::default();
        let order = Order::parse(request.get_ref(), &mut violations);
        let order = violations.unless_any(order)?;
        let permit = order.decide(&self.issuer).map_err(Error::from)?;
        let token = order.sign(&self.issuer, permit, self.issuer.now());
        Ok(Response::new(IssueTokenResponse { token: Some(token) }))
    }

    async fn batch_issue_tokens(
        &self,
        request: Request<BatchIssueTokensRequest>,
    ) -> Result<Response<BatchIssueTokensResponse>, Status> {
        let tokens = batch::issue(&self.issuer, request.get_ref())?;
        Ok(Response::new(BatchIssueTokensResponse { tokens }))
    }

    async fn verify_token(
        &self,
        request: Request<VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let request = request.get_ref();
        let wanted = parse_wanted(request)?;
        let verdict = self.issuer.verify(&request.token, &request.project, &wanted).map_err(Error::from)?;
        Ok(Response::new(describe(&verdict)))
    }
}

/// An `IssueTokenRequest` that says nothing wrong.
pub(super) struct Order<'a> {
    project: &'a str,
    access_key: &'a str,
    scope: Scope<'a>,
    grant: Grant,
}

impl<'a> Order<'a> {
    pub(super) fn parse(request: &'a IssueTokenRequest, violations: &mut Violations) -> Option<Self> {
        let scope = parse_scope(request.scope.as_ref(), violations);
        let role = convert::role(request.role, "role", violations);
        let lifetime = convert::issue_lifetime(request.validity.as_ref(), violations);
        let (scope, access_key) = scope?;
        let grant = Grant { kind: scope.kind(), role: role?, lifetime: lifetime? };
        Some(Self { project: &request.project, access_key, scope, grant })
    }

    /// Whether it may be minted, and with which key.
    pub(super) fn decide<'k>(&self, issuer: &'k Issuer) -> Result<Permit<'k>, Refusal> {
        let project = issuer.project(self.project)?;
        let allowed = issuer.decide(&self.grant)?;
        Ok(Permit { allowed, key: issuer.key(project, self.access_key)? })
    }

    pub(super) fn sign(&self, issuer: &Issuer, permit: Permit<'_>, now: UnixMillis) -> Token {
        let signed = issuer.sign(permit.allowed, permit.key, self.scope, now);
        convert::token(&signed, self.scope, self.grant.role, permit.key.access_key())
    }
}

/// An order that was allowed.
#[derive(Clone, Copy)]
pub(super) struct Permit<'a> {
    allowed: Allowed,
    key: &'a SigningKey,
}

/// The scope, and the access key that it names.
fn parse_scope<'a>(
    scope: Option<&'a issue_token_request::Scope>,
    violations: &mut Violations,
) -> Option<(Scope<'a>, &'a str)> {
    match scope {
        Some(issue_token_request::Scope::Sdk(_)) => Some((Scope::Sdk, "")),
        Some(issue_token_request::Scope::Room(room)) => {
            let uuid = convert::minted_uuid(&room.uuid, "room.uuid", violations)?;
            Some((Scope::Room(uuid), &room.access_key))
        }
        Some(issue_token_request::Scope::Task(task)) => {
            let uuid = convert::minted_uuid(&task.uuid, "task.uuid", violations)?;
            Some((Scope::Task(uuid), &task.access_key))
        }
        None => {
            violations.add("scope", "is required: sdk, room or task");
            None
        }
    }
}

fn parse_wanted(request: &VerifyTokenRequest) -> Result<Wanted<'_>, Error> {
    let mut violations = Violations::default();
    if request.token.is_empty() || request.token.len() > LONGEST_TOKEN {
        violations.add("token", "must be 1 byte to 8 KiB");
    }
    let permission = convert::permission(request.permission, &mut violations);
    let mints = matches!(permission, Some(Some(Permission::MintRoomToken | Permission::MintTaskToken)));
    let mint_role = match request.mint_role {
        0 => Some(None),
        _ if !mints => {
            violations
                .add("mint_role", "goes with PERMISSION_MINT_ROOM_TOKEN and PERMISSION_MINT_TASK_TOKEN only");
            None
        }
        role => convert::role(role, "mint_role", &mut violations).map(Some),
    };
    let room = verified_uuid(&request.room_uuid, "room_uuid", &mut violations);
    let task = verified_uuid(&request.task_uuid, "task_uuid", &mut violations);
    let parsed = || Some(Wanted { permission: permission?, mint_role: mint_role?, room, task });
    violations.unless_any(parsed())
}

/// Empty: the token's own.
fn verified_uuid<'a>(uuid: &'a str, field: &str, violations: &mut Violations) -> Option<&'a str> {
    if uuid.is_empty() {
        return None;
    }
    convert::minted_uuid(uuid, field, violations).map(Uuid::as_str)
}

fn describe(verdict: &Verdict<'_>) -> VerifyTokenResponse {
    let error = verdict.result.err();
    let permissions = verdict.presented.as_ref().filter(|_| error.is_none()).map(Presented::permissions);
    VerifyTokenResponse {
        valid: error.is_none(),
        error: error.map(|error| error.to_string()).unwrap_or_default(),
        reason: error.map(proto::TokenError::from).unwrap_or_default().into(),
        claims: verdict.presented.as_ref().map(claims),
        permissions: permissions
            .into_iter()
            .flatten()
            .map(|p| convert::permission_to_proto(p).into())
            .collect(),
        project: verdict.project.map(|project| project.name().to_owned()).unwrap_or_default(),
    }
}

fn claims(presented: &Presented) -> TokenClaims {
    TokenClaims {
        kind: proto::TokenKind::from(presented.kind()).into(),
        role: proto::Role::from(presented.role()).into(),
        uuid: presented.uuid().to_owned(),
        access_key: presented.access_key().to_owned(),
        nonce: presented.nonce().to_owned(),
        expire_time: presented.expire_at().map(convert::timestamp),
    }
}
