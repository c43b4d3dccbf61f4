//! `TokenService`.

use std::{slice::from_ref, sync::Arc};

use tonic::{Request, Response, Status, async_trait};

use super::parse::{self, Violations};
use crate::{
    call::CallContext,
    error::Error,
    issuing::{Authorizer, IssueParams, Verification},
    methods::Rpc,
    proto::{
        self, BatchIssueTokensRequest, BatchIssueTokensResponse, IssueTokenRequest, IssueTokenResponse,
        TokenClaims, VerifyTokenRequest, VerifyTokenResponse, issue_token_request,
        token_service_server::TokenService,
    },
    token::{Permission, Presented, Scope, Uuid, Wanted},
};

/// The longest token that is verified, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// How many tokens one call may mint.
const LARGEST_BATCH: usize = 1000;

/// Also usable without a server: the offline commands call it in the process.
pub struct Tokens {
    authorizer: Arc<Authorizer>,
}

impl Tokens {
    /// Mints and verifies by `authorizer`.
    #[must_use]
    pub const fn new(authorizer: Arc<Authorizer>) -> Self {
        Self { authorizer }
    }
}

#[async_trait]
impl TokenService for Tokens {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let mut violations = Violations::default();
        let params = parse_issue(request.get_ref(), &mut violations);
        let params = violations.unless_any(params)?;
        let call = CallContext::of(&request);
        let issued = self.authorizer.issue(call, Rpc::IssueToken, from_ref(&params)).await?;
        Ok(Response::new(IssueTokenResponse { token: issued.into_iter().next().map(Into::into) }))
    }

    async fn batch_issue_tokens(
        &self,
        request: Request<BatchIssueTokensRequest>,
    ) -> Result<Response<BatchIssueTokensResponse>, Status> {
        let params = parse_batch(request.get_ref())?;
        let call = CallContext::of(&request);
        let issued = self.authorizer.issue(call, Rpc::BatchIssueTokens, &params).await?;
        Ok(Response::new(BatchIssueTokensResponse { tokens: issued.into_iter().map(Into::into).collect() }))
    }

    async fn verify_token(
        &self,
        request: Request<VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let call = CallContext::of(&request);
        let request = request.get_ref();
        let wanted = parse_wanted(request)?;
        let verdict = self.authorizer.verify(&call.principal, &request.token, &request.project, &wanted)?;
        Ok(Response::new(describe(&verdict)))
    }
}

fn parse_issue<'a>(request: &'a IssueTokenRequest, violations: &mut Violations) -> Option<IssueParams<'a>> {
    let scope = parse_scope(request.scope.as_ref(), violations);
    let role = parse::role(request.role, "role", violations);
    let lifetime = parse::issue_lifetime(request.validity.as_ref(), violations);
    let (scope, access_key) = scope?;
    Some(IssueParams { project: &request.project, access_key, scope, role: role?, lifetime: lifetime? })
}

fn parse_batch(request: &BatchIssueTokensRequest) -> Result<Vec<IssueParams<'_>>, Error> {
    if !(1..=LARGEST_BATCH).contains(&request.requests.len()) {
        return Err(Error::invalid("requests", "must be 1 to 1000"));
    }
    let mut violations = Violations::default();
    let mut params = Vec::with_capacity(request.requests.len());
    for (index, request) in request.requests.iter().enumerate() {
        violations.within(index);
        params.extend(parse_issue(request, &mut violations));
    }
    violations.unless_any(Some(params))
}

/// The scope, and the access key that it names.
fn parse_scope<'a>(
    scope: Option<&'a issue_token_request::Scope>,
    violations: &mut Violations,
) -> Option<(Scope<'a>, &'a str)> {
    match scope {
        Some(issue_token_request::Scope::Sdk(_)) => Some((Scope::Sdk, "")),
        Some(issue_token_request::Scope::Room(room)) => {
            let uuid = parse::minted_uuid(&room.uuid, "room.uuid", violations)?;
            Some((Scope::Room(uuid), &room.access_key))
        }
        Some(issue_token_request::Scope::Task(task)) => {
            let uuid = parse::minted_uuid(&task.uuid, "task.uuid", violations)?;
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
    let permission = parse::permission(request.permission, &mut violations);
    let mints = matches!(permission, Some(Some(Permission::MintRoomToken | Permission::MintTaskToken)));
    let mint_role = match request.mint_role {
        0 => Some(None),
        _ if !mints => {
            violations
                .add("mint_role", "goes with PERMISSION_MINT_ROOM_TOKEN and PERMISSION_MINT_TASK_TOKEN only");
            None
        }
        role => parse::role(role, "mint_role", &mut violations).map(Some),
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
    parse::minted_uuid(uuid, field, violations).map(Uuid::as_str)
}

fn describe(verification: &Verification) -> VerifyTokenResponse {
    let error = verification.result.err();
    let permissions = verification.presented.as_ref().filter(|_| error.is_none()).map(Presented::permissions);
    VerifyTokenResponse {
        valid: error.is_none(),
        error: error.map(|error| error.to_string()).unwrap_or_default(),
        reason: error.map(proto::TokenError::from).unwrap_or_default().into(),
        claims: verification.presented.as_ref().map(claims),
        permissions: permissions
            .into_iter()
            .flatten()
            .map(|p| parse::permission_to_proto(p).into())
            .collect(),
        project: verification.project.as_ref().map(|project| project.name().to_owned()).unwrap_or_default(),
    }
}

fn claims(presented: &Presented) -> TokenClaims {
    TokenClaims {
        kind: proto::TokenKind::from(presented.kind()).into(),
        role: proto::Role::from(presented.role()).into(),
        uuid: presented.uuid().to_owned(),
        access_key: presented.access_key().to_owned(),
        nonce: presented.nonce().to_owned(),
        expire_time: presented.expire_at().map(Into::into),
    }
}
