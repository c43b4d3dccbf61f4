//! `TokenService.VerifyToken`.

use std::time::Duration;

use inkpass::{
    clock::UnixMillis,
    proto::{Permission, Role, TokenError, TokenKind, VerifyTokenRequest, VerifyTokenResponse},
    token::{self, Claims, Nonce, Scope, Uuid},
};
use tonic::Code;

use crate::helpers::{NOW, World, assert_refused, key};

fn signed(access_key: &str, scope: Scope<'_>, role: token::Role) -> String {
    let expire_at = UnixMillis::new(NOW + 60_000);
    key(access_key).sign(&Claims { scope, role, expire_at }, &Nonce::random([1; 16])).expose().to_owned()
}

fn room(uuid: &str) -> Scope<'_> {
    Scope::Room(Uuid::new(uuid).unwrap())
}

fn ask(token: &str) -> VerifyTokenRequest {
    VerifyTokenRequest { token: token.to_owned(), ..Default::default() }
}

async fn verify(world: &World, request: VerifyTokenRequest) -> VerifyTokenResponse {
    world.client.tokens().verify_token(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_valid_token_is_described_whole() {
    let world = World::start().await;
    for (access_key, project) in
        [("active-key", "default"), ("verify-only-key", "default"), ("other-key", "other")]
    {
        let answer = verify(&world, ask(&signed(access_key, room("r1"), token::Role::Reader))).await;
        assert!(answer.valid);
        assert_eq!(
            (&*answer.error, answer.reason(), &*answer.project),
            ("", TokenError::Unspecified, project)
        );
        assert_eq!(answer.permissions().collect::<Vec<_>>(), [Permission::JoinReadOnly]);
        let claims = answer.claims.unwrap();
        assert_eq!((claims.kind(), claims.role(), &*claims.uuid), (TokenKind::Room, Role::Reader, "r1"));
        assert_eq!((&*claims.access_key, claims.nonce.len()), (access_key, 36));
        assert_eq!(claims.expire_time.unwrap().seconds, i64::try_from(NOW / 1000).unwrap() + 60);
    }
}

#[tokio::test]
async fn each_way_to_be_invalid_has_its_string_and_reason() {
    let world = World::start().await;
    let room_token = signed("active-key", room("r1"), token::Role::Reader);
    let task_token = signed("active-key", Scope::Task(Uuid::new("t1").unwrap()), token::Role::Admin);
    let sdk_token = signed("active-key", Scope::Sdk, token::Role::Writer);
    let forged = key("active-key").access_key().to_owned();
    let forged = token::SigningKey::new(&forged, b"not-the-secret").unwrap();
    let forged = forged.sign(
        &Claims { scope: Scope::Sdk, role: token::Role::Admin, expire_at: None },
        &Nonce::random([2; 16]),
    );
    let cases = [
        (ask("rubbish"), TokenError::Malformed, "invalid format of token"),
        (ask("WHITEcGFydG5lcl9pZA"), TokenError::Legacy, "invalid format of token"),
        (ask(forged.expose()), TokenError::Signature, "invalid signature of token"),
        (
            VerifyTokenRequest { project: "other".into(), ..ask(&room_token) },
            TokenError::Team,
            "token access team forbidden",
        ),
        (
            VerifyTokenRequest { permission: Permission::GetRoom.into(), ..ask(&room_token) },
            TokenError::Role,
            "token access role reader forbidden",
        ),
        (
            VerifyTokenRequest { permission: Permission::JoinReadOnly.into(), ..ask(&sdk_token) },
            TokenError::Role,
            "token access role writer forbidden",
        ),
        (
            VerifyTokenRequest { room_uuid: "r2".into(), ..ask(&room_token) },
            TokenError::Room,
            "token access room forbidden",
        ),
        (
            VerifyTokenRequest { permission: Permission::CreateRoom.into(), ..ask(&room_token) },
            TokenError::Room,
            "token access room forbidden",
        ),
        (
            VerifyTokenRequest { task_uuid: "t2".into(), ..ask(&task_token) },
            TokenError::Task,
            "token access task forbidden",
        ),
        (
            VerifyTokenRequest {
                permission: Permission::MintRoomToken.into(),
                mint_role: Role::Admin.into(),
                ..ask(&sdk_token)
            },
            TokenError::Role,
            "token access role writer forbidden",
        ),
    ];
    for (request, reason, error) in cases {
        let answer = verify(&world, request).await;
        assert_eq!((answer.valid, answer.reason(), &*answer.error), (false, reason, error));
        assert!(answer.permissions.is_empty());
        assert_eq!(answer.claims.is_some(), !matches!(reason, TokenError::Malformed | TokenError::Legacy));
    }
    world.clock.advance(Duration::from_mins(1));
    let answer = verify(&world, ask(&room_token)).await;
    assert_eq!((answer.reason(), &*answer.error), (TokenError::Expired, "expired token"));
}

#[tokio::test]
async fn a_key_that_nobody_here_has_is_a_team_error() {
    let unknown_key = token::SigningKey::new("unknown-key", b"a-secret-of-another").unwrap();
    let claims = Claims { scope: Scope::Sdk, role: token::Role::Admin, expire_at: None };
    let answer =
        verify(&World::start().await, ask(unknown_key.sign(&claims, &Nonce::random([3; 16])).expose())).await;
    assert_eq!((answer.reason(), &*answer.error), (TokenError::Team, "token access team forbidden"));
    assert_eq!(answer.project, "");
}

#[tokio::test]
async fn every_permission_is_called_by_its_name() {
    let world = World::start().await;
    let names = |role| {
        let request = ask(&signed("active-key", Scope::Sdk, role));
        async { verify(&world, request).await.permissions().map(|p| p.as_str_name()).collect::<Vec<_>>() }
    };
    let writer = names(token::Role::Writer).await;
    let expected = [
        "CREATE_ROOM",
        "JOIN_INTERACTIVE",
        "LIST_ROOMS",
        "GET_ROOM",
        "CAPTURE_SCENE",
        "CAPTURE_SCENE_DIR",
        "LIST_SCENES",
        "ADD_SCENE",
        "SWITCH_SCENE",
        "START_CONVERSION",
        "MINT_ROOM_TOKEN",
        "MINT_TASK_TOKEN",
        "GET_CONVERSION",
    ];
    assert_eq!(writer, expected.map(|name| format!("PERMISSION_{name}")));
    let admin = names(token::Role::Admin).await;
    assert_eq!(admin[4], "PERMISSION_DISABLE_ROOM");
    assert_eq!(names(token::Role::Reader).await[0], "PERMISSION_JOIN_READ_ONLY");
    for number in 1..=15 {
        // Asked for one by one, each is granted exactly where it is listed.
        let permission = Permission::try_from(number).unwrap();
        let token = signed("active-key", Scope::Sdk, token::Role::Writer);
        let answer = verify(&world, VerifyTokenRequest { permission: number, ..ask(&token) }).await;
        assert_eq!(answer.valid, writer.contains(&permission.as_str_name()), "{permission:?}");
    }
}

#[tokio::test]
async fn a_wrong_question_is_refused_with_every_violation() {
    let world = World::start().await;
    let refused =
        async |request: VerifyTokenRequest| world.client.tokens().verify_token(request).await.unwrap_err();
    let request = VerifyTokenRequest {
        permission: 99,
        mint_role: Role::Reader.into(),
        room_uuid: "a\nb".into(),
        task_uuid: "x".repeat(129),
        ..Default::default()
    };
    let fields = ["token", "permission", "mint_role", "room_uuid", "task_uuid"];
    assert_refused(&refused(request).await, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    let status = refused(ask(&"x".repeat(8193))).await;
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["token"]);
    assert!(!verify(&world, ask(&"x".repeat(8192))).await.valid);
    let status = refused(VerifyTokenRequest { project: "nobody".into(), ..ask("x") }).await;
    assert_refused(&status, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
}
