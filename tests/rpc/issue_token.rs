//! `TokenService.IssueToken`.

use inkpass::{
    clock::UnixMillis,
    policy::{Everyone, Rules},
    proto::{
        IssueTokenRequest, Role, RoomScope, SdkScope, TaskScope, Token, TokenKind,
        issue_token_request::{Scope, Validity},
    },
    token::{Presented, Wanted, verify},
};
use prost_types::Duration;
use tonic::Code;

use crate::helpers::{NOW, World, assert_refused, key};

fn room(uuid: &str) -> Scope {
    Scope::Room(RoomScope { uuid: uuid.to_owned(), access_key: String::new() })
}

fn seconds(seconds: i64) -> Validity {
    Validity::Ttl(Duration { seconds, nanos: 0 })
}

fn request(scope: Scope, role: Role, validity: Option<Validity>) -> IssueTokenRequest {
    IssueTokenRequest { scope: Some(scope), role: role.into(), validity, ..Default::default() }
}

async fn issue(world: &World, request: IssueTokenRequest) -> Result<Token, tonic::Status> {
    world.client.tokens().issue_token(request).await.map(|answer| answer.into_inner().token.unwrap())
}

#[tokio::test]
async fn each_kind_and_role_is_signed_by_the_active_key_with_the_ttl_asked_for() {
    let world = World::start().await;
    let task = Scope::Task(TaskScope { uuid: "t1".into(), access_key: String::new() });
    for (scope, kind, uuid) in [
        (Scope::Sdk(SdkScope {}), TokenKind::Sdk, ""),
        (room("r 1"), TokenKind::Room, "r 1"),
        (task, TokenKind::Task, "t1"),
    ] {
        for role in [Role::Admin, Role::Writer, Role::Reader] {
            let token = issue(&world, request(scope.clone(), role, Some(seconds(90)))).await.unwrap();
            let read = Presented::parse(&token.value).unwrap();
            let before = UnixMillis::new(NOW + 89_999).unwrap();
            assert_eq!(verify(&read, Some(&key("active-key")), before, &Wanted::default()), Ok(()));
            assert_eq!((token.kind(), token.role(), &*token.uuid), (kind, role, uuid));
            assert_eq!(token.access_key, "active-key");
            let expiry = token.expire_time.unwrap();
            assert_eq!(expiry.seconds, i64::try_from(NOW / 1000).unwrap() + 90);
            assert_eq!(read.expire_at().unwrap().get(), NOW + 90_000);
            assert_eq!(token.fingerprint.len(), 32);
            assert!(!token.value.contains(&token.fingerprint));
        }
    }
    assert!(world.upstream.requests().await.is_empty(), "minting asks nobody");
}

#[tokio::test]
async fn a_token_without_validity_gets_the_default_of_its_kind_never_a_permanent_one() {
    let world = World::start().await;
    for (scope, lifetime) in [(Scope::Sdk(SdkScope {}), 5 * 60), (room("r"), 60 * 60)] {
        let token = issue(&world, request(scope, Role::Reader, None)).await.unwrap();
        assert_eq!(token.expire_time.unwrap().seconds, i64::try_from(NOW / 1000).unwrap() + lifetime);
    }
}

#[tokio::test]
async fn a_permanent_token_needs_the_policy_s_consent() {
    let permanent = || request(room("r"), Role::Reader, Some(Validity::Permanent(true)));
    let status = issue(&World::start().await, permanent()).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PERMANENT_TOKEN_FORBIDDEN", &[]);

    let token = issue(&World::with_rules(Rules::for_everyone(Everyone::Permissive)).await, permanent())
        .await
        .unwrap();
    assert_eq!(token.expire_time, None);
    assert_eq!(Presented::parse(&token.value).unwrap().expire_at(), None);
}

#[tokio::test]
async fn a_ttl_above_the_maximum_is_refused_and_not_shortened() {
    let world = World::start().await;
    for (scope, maximum) in [(Scope::Sdk(SdkScope {}), 3600), (room("r"), 24 * 3600)] {
        issue(&world, request(scope.clone(), Role::Reader, Some(seconds(maximum)))).await.unwrap();
        let above = Validity::Ttl(Duration { seconds: maximum, nanos: 1_000_000 });
        let status = issue(&world, request(scope, Role::Reader, Some(above))).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM", &[]);
    }
}

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let world = World::start().await;
    let status = issue(&world, IssueTokenRequest::default()).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["scope", "role"]);

    let too_long = "x".repeat(129);
    for uuid in ["", "a\nb", "a\u{7f}b", "\u{85}", &too_long] {
        let wrong = IssueTokenRequest {
            scope: Some(room(uuid)),
            role: 9,
            validity: Some(Validity::Permanent(false)),
            project: "unknown".into(),
        };
        let status = issue(&world, wrong).await.unwrap_err();
        assert_refused(
            &status,
            Code::InvalidArgument,
            "INVALID_REQUEST",
            &["room.uuid", "role", "permanent"],
        );
        assert!(uuid.is_empty() || !status.message().contains(uuid), "what was sent is not repeated");
    }
    for (seconds, nanos) in [(0, 0), (-1, 0), (0, -1), (1, 500_000), (0, 1), (i64::MIN, 0)] {
        let wrong = request(room("r"), Role::Admin, Some(Validity::Ttl(Duration { seconds, nanos })));
        let status = issue(&world, wrong).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["ttl"]);
    }
    let longest = request(room("r"), Role::Admin, Some(seconds(i64::MAX)));
    let status = issue(&world, longest).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM", &[]);
}

#[tokio::test]
async fn a_uuid_of_128_bytes_is_minted_whatever_is_in_it() {
    let world = World::start().await;
    for uuid in ["x".repeat(128), "🎨".repeat(32), "\"&=%+ !'()*\\/?#".to_owned()] {
        let token = issue(&world, request(room(&uuid), Role::Reader, None)).await.unwrap();
        assert_eq!(Presented::parse(&token.value).unwrap().uuid(), uuid);
    }
}

#[tokio::test]
async fn a_project_is_meant_by_name_and_an_unknown_one_is_refused() {
    let world = World::start().await;
    let of = |project: &str| IssueTokenRequest {
        project: project.into(),
        ..request(room("r"), Role::Reader, None)
    };
    assert_eq!(issue(&world, of("other")).await.unwrap().access_key, "other-key");
    let status = issue(&world, of("nobody")).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
}

#[tokio::test]
async fn refusals_come_in_their_order() {
    let world = World::start().await;
    let scope = Scope::Room(RoomScope { uuid: "r".into(), access_key: "no-key".into() });
    let all_wrong = request(scope.clone(), Role::Reader, Some(seconds(25 * 3600)));
    let elsewhere = IssueTokenRequest { project: "nobody".into(), ..all_wrong.clone() };
    let refused = issue(&world, elsewhere).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
    let refused = issue(&world, all_wrong).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM", &[]);
    let refused = issue(&world, request(scope, Role::Reader, None)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "ACCESS_KEY_UNKNOWN", &[]);
}

#[tokio::test]
async fn a_named_key_signs_unless_it_is_unknown_or_may_only_verify() {
    let world = World::start().await;
    let named = |access_key: &str| {
        let scope = Scope::Room(RoomScope { uuid: "r".into(), access_key: access_key.into() });
        request(scope, Role::Reader, None)
    };
    for access_key in ["active-key", "retiring-key"] {
        let token = issue(&world, named(access_key)).await.unwrap();
        assert_eq!(token.access_key, access_key);
        assert!(Presented::parse(&token.value).unwrap().is_signed_by(&key(access_key)));
    }
    for access_key in ["verify-only-key", "other-key", "no-key"] {
        let status = issue(&world, named(access_key)).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "ACCESS_KEY_UNKNOWN", &[]);
    }
}

#[tokio::test]
async fn two_tokens_are_never_the_same() {
    let world = World::start().await;
    let first = issue(&world, request(room("r"), Role::Reader, None)).await.unwrap();
    let second = issue(&world, request(room("r"), Role::Reader, None)).await.unwrap();
    assert_ne!(first.value, second.value);
    assert_ne!(first.fingerprint, second.fingerprint);
}

#[test]
fn debug_hides_the_token() {
    let token = Token { value: "NETLESSROOM_secret".into(), ..Default::default() };
    let answer = inkpass::proto::IssueTokenResponse { token: Some(token) };
    assert!(!format!("{answer:?}").contains("NETLESS"));
    let request =
        inkpass::proto::VerifyTokenRequest { token: "NETLESSROOM_secret".into(), ..Default::default() };
    assert!(!format!("{request:?}").contains("NETLESS"));
}
