//! `TokenService`.

use std::slice::from_ref;

use tonic::{Request, Response, Status, async_trait};

use super::{Caller, Desk, Error, batch, convert, record::Entry, violations::Violations};
use crate::{
    clock::UnixMillis,
    issuer::{Ask, Issued, Issuer, Permit, Verdict},
    methods::Rpc,
    policy::Mint,
    proto::{
        self, BatchIssueTokensRequest, BatchIssueTokensResponse, IssueTokenRequest, IssueTokenResponse,
        Token, TokenClaims, VerifyTokenRequest, VerifyTokenResponse, issue_token_request,
        token_service_server::TokenService,
    },
    token::{Permission, Presented, Scope, Uuid, Wanted},
};

/// The longest token that is verified, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Also usable without a server: the offline commands call it in the process.
pub struct Tokens {
    desk: Desk,
}

impl Tokens {
    /// Mints and verifies at `desk`.
    #[must_use]
    pub const fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

#[async_trait]
impl TokenService for Tokens {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let caller = Caller::of(&request);
        let mut violations = Violations::default();
        let order = Order::parse(request.get_ref(), &mut violations);
        let order = violations.unless_any(order)?;
        let entry = order.entry(Rpc::IssueToken);
        let (permit, _) = self.desk.decide(&caller, &entry).await?;
        let now = self.desk.now(&caller, &entry, from_ref(&permit)).await?;
        let issued = order.sign(&self.desk.issuer, &permit, now)?;
        self.desk.allow(&caller, &entry, from_ref(&permit), from_ref(&issued)).await?;
        let token = order.token(&issued, &permit);
        Ok(Response::new(IssueTokenResponse { token: Some(token) }))
    }

    async fn batch_issue_tokens(
        &self,
        request: Request<BatchIssueTokensRequest>,
    ) -> Result<Response<BatchIssueTokensResponse>, Status> {
        let caller = Caller::of(&request);
        let tokens = batch::issue(&self.desk, &caller, request.get_ref()).await?;
        Ok(Response::new(BatchIssueTokensResponse { tokens }))
    }

    async fn verify_token(
        &self,
        request: Request<VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let caller = Caller::of(&request);
        let request = request.get_ref();
        let wanted = parse_wanted(request)?;
        let issuer = &self.desk.issuer;
        let verdict = issuer.verify(&caller.principal, &request.token, &request.project, &wanted);
        Ok(Response::new(describe(&verdict.map_err(Error::from)?)))
    }
}

/// An `IssueTokenRequest` that says nothing wrong.
pub(super) struct Order<'a> {
    project: &'a str,
    access_key: &'a str,
    scope: Scope<'a>,
    mint: Mint,
}

impl<'a> Order<'a> {
    pub(super) fn parse(request: &'a IssueTokenRequest, violations: &mut Violations) -> Option<Self> {
        let scope = parse_scope(request.scope.as_ref(), violations);
        let role = convert::role(request.role, "role", violations);
        let lifetime = convert::issue_lifetime(request.validity.as_ref(), violations);
        let (scope, access_key) = scope?;
        let mint = Mint { kind: scope.kind(), role: role?, lifetime: lifetime? };
        Some(Self { project: &request.project, access_key, scope, mint })
    }

    pub(super) fn entry(&self, rpc: Rpc) -> Entry<'a> {
        let Self { project, access_key, mint, .. } = *self;
        let ask = Ask { rpc, project, access_key, region: None, mint: Some(mint) };
        Entry { uuid: self.uuid(), ..Entry::of(ask) }
    }

    /// Of the room or task; empty for an SDK token.
    pub(super) fn uuid(&self) -> &'a str {
        self.scope.uuid().unwrap_or_default()
    }

    pub(super) fn sign(&self, issuer: &Issuer, permit: &Permit, now: UnixMillis) -> Result<Issued, Error> {
        let minting = permit.mint.ok_or(Error::Internal("a token was allowed without its lifetime"))?;
        Ok(issuer.sign(minting, &permit.key, self.scope, now))
    }

    pub(super) fn token(&self, issued: &Issued, permit: &Permit) -> Token {
        convert::token(issued, self.scope, self.mint.role, permit.key.access_key())
    }
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

fn describe(verdict: &Verdict) -> VerifyTokenResponse {
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
        project: verdict.project.as_ref().map(|project| project.name().to_owned()).unwrap_or_default(),
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
