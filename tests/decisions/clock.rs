//! Calls after a step of the wall clock: row 40 of the fault cases. tests/stability.rs tests the detection.

use inkpass::proto::{CreateRoomRequest, Role, TokenGrant, VerifyTokenRequest};
use tonic::Code;
use tonic_types::StatusExt;

use super::{POLICY, TestService, batch, create, issue, room};
use crate::helpers::{NOW, assert_refused};

const HOUR: i64 = 3_600_000;

fn with_token() -> CreateRoomRequest {
    let token_grant = Some(TokenGrant { role: Role::Writer.into(), validity: None });
    CreateRoomRequest { token_grant, ..Default::default() }
}

#[tokio::test]
async fn after_an_hour_s_step_nothing_is_signed_sent_or_judged() {
    for step in [HOUR, -HOUR] {
        let service = TestService::audited(POLICY).await;
        let (teacher, verifier) = (service.teacher().await, service.client("key:verifier").await);
        let token = issue(&teacher, room("r", Role::Writer)).await.unwrap().value;
        service.world.clock.step(step);
        let before = service.lines().len();
        let judged = verifier.tokens().verify_token(VerifyTokenRequest { token, ..Default::default() }).await;
        for refused in [
            judged.unwrap_err(),
            issue(&teacher, room("r", Role::Writer)).await.unwrap_err(),
            batch(&teacher, vec![room("r", Role::Writer); 2]).await.unwrap_err(),
            create(&teacher, CreateRoomRequest::default()).await.unwrap_err(),
            create(&teacher, with_token()).await.unwrap_err(),
        ] {
            assert_refused(&refused, Code::Unavailable, "CLOCK_UNSTABLE", &[]);
            assert!(refused.get_error_details().retry_info().is_some(), "another replica may take it");
        }
        assert_eq!(service.sent().await, 0);

        // Refusals are audited: minting in one line, creating in two.
        let lines = service.lines().split_off(before);
        let told = lines.iter().map(|line| {
            ["decision", "phase", "reason"].map(|field| line[field].as_str().unwrap_or_default())
        });
        let unstable = "CLOCK_UNSTABLE";
        let of_a_create = [["allow", "decision", ""], ["allow", "outcome", unstable]];
        let of_minting = [["deny", "", unstable]; 2];
        assert_eq!(told.collect::<Vec<_>>(), [&of_minting[..], &of_a_create, &of_a_create].concat());
    }
}

#[tokio::test]
async fn a_second_s_step_changes_nothing() {
    for step in [1000, -1000] {
        let service = TestService::start(POLICY).await;
        let teacher = service.teacher().await;
        service.world.clock.step(step);
        let token = issue(&teacher, room("r", Role::Writer)).await.unwrap();
        let expected = i64::try_from(NOW / 1000).unwrap() + step / 1000 + 600;
        assert_eq!(token.expire_time.unwrap().seconds, expected);
        assert!(create(&teacher, with_token()).await.unwrap().token.is_some());
        assert_eq!(service.sent().await, 1);
    }
}

#[tokio::test]
async fn a_step_while_a_room_is_created_withholds_its_token_and_the_trail_names_the_room() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    service.delay_a_creation().await;
    let created = tokio::spawn(async move { create(&teacher, with_token()).await });
    service.until_sent(1).await;
    service.world.clock.step(HOUR);
    let refused = created.await.unwrap().unwrap_err();
    assert_refused(&refused, Code::Unavailable, "CLOCK_UNSTABLE", &[]);
    assert!(refused.get_error_details().retry_info().is_none(), "it would create another room");
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    let lines = service.lines();
    assert_eq!((lines.len(), &lines[1]["phase"]), (2, &"outcome".into()), "{lines:?}");
    assert_eq!(lines[1]["reason"], "CLOCK_UNSTABLE");
    assert!(lines[1]["uuid"].as_str().is_some_and(|uuid| !uuid.is_empty()), "{lines:?}");
    assert!(lines[1]["fingerprint"].is_null());
}
