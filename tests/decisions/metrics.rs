//! What is counted of decisions, tokens and quotas.

use inkpass::{
    audit::OnFailure,
    proto::{CreateRoomRequest, GetRoomRequest, Role, TokenGrant},
};

use super::{CALLERS, POLICY, TestService, batch, create, issue, room};
use crate::helpers::NOW;

fn with_token() -> CreateRoomRequest {
    let token_grant = Some(TokenGrant { role: Role::Writer.into(), validity: None });
    CreateRoomRequest { token_grant, ..Default::default() }
}

/// Checks these figures of a scrape.
async fn assert_figures(service: &TestService, figures: &[(&str, u32)]) {
    let text = service.world.metrics().await;
    for (series, figure) in figures {
        let line = format!("\n{series} {figure}\n");
        assert!(text.contains(&line), "{series} {figure} in {text}");
    }
}

const READERS: &str = r#"inkpass_tokens_issued_total{kind="room",project="default",role="reader"}"#;
const WRITERS: &str = r#"inkpass_tokens_issued_total{kind="room",project="default",role="writer"}"#;
const OTHERS: &str = r#"inkpass_tokens_issued_total{kind="task",project="other",role="admin"}"#;
const ALLOWED: &str = r#"inkpass_decisions_total{decision="allow",reason=""}"#;

#[tokio::test]
async fn every_token_is_counted_once_alone_in_a_batch_and_beside_a_room() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    assert_figures(&service, &[(READERS, 0), (WRITERS, 0), (OTHERS, 0), (ALLOWED, 0)]).await;
    issue(&teacher, room("a", Role::Reader)).await.unwrap();
    let three = [Role::Reader, Role::Writer, Role::Reader].map(|role| room("a", role));
    batch(&teacher, three.to_vec()).await.unwrap();
    create(&teacher, with_token()).await.unwrap();
    create(&teacher, CreateRoomRequest::default()).await.unwrap();
    let missing = GetRoomRequest { uuid: "nowhere".to_owned(), ..Default::default() };
    teacher.rooms().get_room(missing).await.unwrap_err();
    assert_figures(&service, &[(READERS, 3), (WRITERS, 2), (OTHERS, 0), (ALLOWED, 5)]).await;
    let written = u32::try_from(NOW / 1000).unwrap();
    assert_figures(&service, &[("inkpass_audit_last_write_timestamp_seconds", written)]).await;
}

#[tokio::test]
async fn what_is_refused_is_a_decision_with_its_reason_and_no_token() {
    let service = TestService::audited(POLICY).await;
    let (teacher, nobody) = (service.teacher().await, service.client("key:ungranted").await);
    issue(&teacher, room("a", Role::Admin)).await.unwrap_err();
    batch(&teacher, vec![room("a", Role::Reader), room("a", Role::Admin)]).await.unwrap_err();
    let read = GetRoomRequest { uuid: "a".to_owned(), ..Default::default() };
    nobody.rooms().get_room(read).await.unwrap_err();
    let denied = |reason: &str| format!("inkpass_decisions_total{{decision=\"deny\",reason=\"{reason}\"}}");
    let figures =
        [(&*denied("POLICY_DENIED"), 2), (&denied("PROJECT_UNKNOWN"), 1), (ALLOWED, 0), (READERS, 0)];
    assert_figures(&service, &figures).await;

    let service = TestService::with(POLICY, &CALLERS, Some(("/dev/full".into(), OnFailure::Deny))).await;
    let teacher = service.teacher().await;
    issue(&teacher, room("a", Role::Reader)).await.unwrap_err();
    let figures = [(&*denied("AUDIT_UNAVAILABLE"), 1), (ALLOWED, 0), (READERS, 0)];
    assert_figures(&service, &figures).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_counted_by_its_limit() {
    let policy = POLICY.replace("regions =", "quota = { tokens_per_second = 1, burst = 2 }\nregions =");
    let service = TestService::audited(&policy).await;
    let teacher = service.teacher().await;
    batch(&teacher, vec![room("a", Role::Reader); 3]).await.unwrap_err();
    batch(&teacher, vec![room("a", Role::Reader); 2]).await.unwrap();
    batch(&teacher, vec![room("a", Role::Reader); 2]).await.unwrap_err();
    let refusals = |quota: &str| format!("inkpass_quota_refusals_total{{quota=\"{quota}\"}}");
    let [burst, tokens, upstream] = ["burst", "tokens", "upstream"].map(refusals);
    assert_figures(&service, &[(&burst, 1), (&tokens, 1), (&upstream, 0), (READERS, 2)]).await;
}
