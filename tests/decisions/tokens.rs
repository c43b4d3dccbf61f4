//! What a grant decides of a token: its lifetime, its key, whether a create may mint it, and who may verify
//! it.

use inkpass::{
    proto::{
        CreateRoomRequest, DisableRoomRequest, IssueTokenRequest, Role, RoomScope, Token, TokenGrant,
        VerifyTokenRequest, VerifyTokenResponse,
        issue_token_request::{Scope, Validity},
    },
    token::{Claims, Nonce, Scope as Signed},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{POLICY, TestService, create, issue, room, sdk, ttl};
use crate::helpers::{NOW, assert_refused, key};

const DENIED: Code = Code::PermissionDenied;

/// In seconds from now; `None`: for ever.
fn lifetime(token: &Token) -> Option<i64> {
    token.expire_time.map(|at| at.seconds - i64::try_from(NOW / 1000).unwrap())
}

#[tokio::test]
async fn a_token_lives_as_its_grant_says() {
    let service = TestService::start(POLICY).await;
    let teacher = service.teacher().await;
    let with = |validity| IssueTokenRequest { validity: Some(validity), ..room("r", Role::Writer) };
    let token = issue(&teacher, room("r", Role::Writer)).await.unwrap();
    assert_eq!(lifetime(&token), Some(600), "the grant's default");
    let token = issue(&teacher, with(ttl(7_200_000))).await.unwrap();
    assert_eq!(lifetime(&token), Some(7200));
    let refused = issue(&teacher, with(ttl(7_200_001))).await.unwrap_err();
    assert_refused(&refused, DENIED, "TTL_ABOVE_MAXIMUM", &[]);
    let refused = issue(&teacher, with(Validity::Permanent(true))).await.unwrap_err();
    assert_refused(&refused, DENIED, "PERMANENT_TOKEN_FORBIDDEN", &[]);

    let of_sdk = |validity| IssueTokenRequest { validity, ..sdk() };
    assert_eq!(lifetime(&issue(&teacher, of_sdk(None)).await.unwrap()), Some(60));
    let token = issue(&teacher, of_sdk(Some(Validity::Permanent(true)))).await.unwrap();
    assert_eq!(lifetime(&token), None);
    let refused = issue(&teacher, of_sdk(Some(ttl(3_600_001)))).await.unwrap_err();
    assert_refused(&refused, DENIED, "TTL_ABOVE_MAXIMUM", &[]);
}

#[tokio::test]
async fn a_token_beside_a_room_needs_issue_token_and_lives_as_one_of_it_would() {
    let grant = |role: Role| CreateRoomRequest {
        token_grant: Some(TokenGrant { role: role.into(), validity: None }),
        ..Default::default()
    };
    // BatchIssueTokens alone makes `tokens` valid, and is not enough.
    let without = POLICY.replace("\"inkpass.v1.TokenService/IssueToken\", ", "");
    let service = TestService::start(&without).await;
    let teacher = service.teacher().await;
    let refused = create(&teacher, grant(Role::Reader)).await.unwrap_err();
    assert_refused(&refused, DENIED, "POLICY_DENIED", &[]);
    assert_eq!(service.sent().await, 0, "it was decided before the POST");
    assert!(create(&teacher, CreateRoomRequest::default()).await.unwrap().token.is_none());

    let service = TestService::start(POLICY).await;
    let token = create(&service.teacher().await, grant(Role::Writer)).await.unwrap().token.unwrap();
    assert_eq!(lifetime(&token), Some(600));
}

async fn verify(
    service: &TestService,
    caller: &str,
    token: &str,
    project: &str,
) -> Result<VerifyTokenResponse, Status> {
    let request =
        VerifyTokenRequest { token: token.to_owned(), project: project.to_owned(), ..Default::default() };
    Ok(service.client(caller).await.tokens().verify_token(request).await?.into_inner())
}

fn signed_by(access_key: &str) -> String {
    let claims = Claims { scope: Signed::Sdk, role: inkpass::token::Role::Reader, expire_at: None };
    key(access_key).sign(&claims, &Nonce::random([7; 16])).expose().to_owned()
}

#[tokio::test]
async fn only_a_caller_that_may_verify_learns_anything_of_a_token() {
    let service = TestService::start(POLICY).await;
    let (ours, theirs) = (signed_by("active-key"), signed_by("other-key"));
    // The teacher may mint such a token, but not verify it.
    for (caller, project, reason) in [
        ("key:teacher", "", "POLICY_DENIED"),
        ("key:teacher", "default", "POLICY_DENIED"),
        ("key:teacher", "other", "PROJECT_UNKNOWN"),
        ("key:ungranted", "", "POLICY_DENIED"),
        ("key:ungranted", "default", "PROJECT_UNKNOWN"),
        ("key:verifier", "other", "PROJECT_UNKNOWN"),
        ("key:verifier", "nobody", "PROJECT_UNKNOWN"),
    ] {
        for token in [&*ours, &theirs, "nonsense"] {
            let refused = verify(&service, caller, token, project).await.unwrap_err();
            assert_refused(&refused, DENIED, reason, &[]);
        }
    }
    let judged = verify(&service, "key:verifier", &ours, "").await.unwrap();
    assert_eq!((judged.valid, &*judged.project), (true, "default"));
    for project in ["", "default"] {
        let judged = verify(&service, "key:verifier", &theirs, project).await.unwrap();
        let expected = (false, "token access team forbidden", "");
        assert_eq!((judged.valid, &*judged.error, &*judged.project), expected, "{project:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_project_is_unknown_even_if_the_caller_may_use_both() {
    let both = POLICY.replace(r#"["default"]"#, r#"["default", "other"]"#);
    let service = TestService::start(&both).await;
    let teacher = service.teacher().await;
    let with = |project: &str, access_key: &str| {
        let scope = Scope::Room(RoomScope { uuid: "r".into(), access_key: access_key.into() });
        let role = Role::Reader.into();
        IssueTokenRequest { project: project.into(), scope: Some(scope), role, ..Default::default() }
    };
    for (project, access_key) in
        [("default", "other-key"), ("other", "active-key"), ("default", "verify-only-key"), ("other", "none")]
    {
        let refused = issue(&teacher, with(project, access_key)).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "ACCESS_KEY_UNKNOWN", &[]);
        let request = DisableRoomRequest {
            project: project.into(),
            access_key: access_key.into(),
            region: inkpass::proto::Region::Eu.into(),
            uuid: "r".into(),
        };
        let refused = teacher.rooms().disable_room(request).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "ACCESS_KEY_UNKNOWN", &[]);
        // Of what is refused, the policy's refusal comes first: a key is looked at after it.
        let too_strong = IssueTokenRequest { role: Role::Admin.into(), ..with(project, access_key) };
        let refused = issue(&teacher, too_strong).await.unwrap_err();
        assert_eq!(refused.get_error_details().error_info().unwrap().reason, "POLICY_DENIED");
    }
    assert_eq!(service.sent().await, 0);
    for (project, access_key) in [("default", "retiring-key"), ("other", "other-key")] {
        let token = issue(&teacher, with(project, access_key)).await.unwrap();
        assert_eq!(token.access_key, access_key);
    }
}
