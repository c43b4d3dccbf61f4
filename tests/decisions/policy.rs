//! Authorization, and the order of refusals.

use inkpass::proto::{
    CreateRoomRequest, IssueTokenRequest, Region, Role, TokenGrant, token_grant::Validity as Granted,
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{POLICY, TestService, batch, create, issue, millis, room, ttl};
use crate::helpers::assert_refused;

const DENIED: Code = Code::PermissionDenied;

#[tokio::test]
async fn a_request_with_everything_wrong_is_refused_for_one_thing_after_the_other() {
    let service = TestService::start(POLICY).await;
    let teacher = service.teacher().await;
    let mut request = CreateRoomRequest {
        project: "nobody".into(),
        region: Region::Sg.into(),
        limit: -1,
        token_grant: Some(TokenGrant { role: Role::Admin.into(), validity: Some(Granted::Permanent(true)) }),
        ..Default::default()
    };
    let refused = create(&service.world.client, request.clone()).await.unwrap_err();
    assert_refused(&refused, Code::Unauthenticated, "CALLER_UNKNOWN", &[]);
    let refused = create(&teacher, request.clone()).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["limit"]);
    request.limit = 0;
    for project in ["nobody", "other"] {
        request.project = project.into();
        let refused = create(&teacher, request.clone()).await.unwrap_err();
        assert_refused(&refused, DENIED, "PROJECT_UNKNOWN", &[]);
    }
    request.project = "default".into();
    let refused = create(&teacher, request.clone()).await.unwrap_err();
    assert_refused(&refused, DENIED, "POLICY_DENIED", &[]);
    assert_eq!(refused.get_error_details().error_info().unwrap().metadata["missing"], "role");

    request.token_grant.as_mut().unwrap().role = Role::Writer.into();
    let refused = create(&teacher, request.clone()).await.unwrap_err();
    assert_refused(&refused, DENIED, "REGION_FORBIDDEN", &[]);
    request.region = Region::Eu.into();
    let refused = create(&teacher, request.clone()).await.unwrap_err();
    assert_refused(&refused, DENIED, "PERMANENT_TOKEN_FORBIDDEN", &[]);
    request.token_grant.as_mut().unwrap().validity = Some(Granted::Ttl(millis(7_200_001)));
    let refused = create(&teacher, request.clone()).await.unwrap_err();
    assert_refused(&refused, DENIED, "TTL_ABOVE_MAXIMUM", &[]);
    assert_eq!(refused.get_error_details().error_info().unwrap().metadata["maximum_seconds"], "7200");
    assert_eq!(service.sent().await, 0, "each was decided before the POST");

    request.token_grant.as_mut().unwrap().validity = Some(Granted::Ttl(millis(7_200_000)));
    assert!(create(&teacher, request).await.unwrap().token.is_some());
    assert_eq!(service.sent().await, 1);
}

#[tokio::test]
async fn a_geofence_binds_the_project_s_default_region_too_and_no_token() {
    let service = TestService::start(&POLICY.replace(r#"["us-sv", "eu"]"#, r#"["eu"]"#)).await;
    let teacher = service.teacher().await;
    for region in [Region::Unspecified, Region::UsSv, Region::InMum] {
        let request = CreateRoomRequest { region: region.into(), ..Default::default() };
        let refused = create(&teacher, request).await.unwrap_err();
        assert_refused(&refused, DENIED, "REGION_FORBIDDEN", &[]);
    }
    issue(&teacher, room("r", Role::Writer)).await.unwrap();
    assert_eq!(service.sent().await, 0);
    let request = CreateRoomRequest { region: Region::Eu.into(), ..Default::default() };
    create(&teacher, request).await.unwrap();
}

#[tokio::test]
async fn only_a_caller_with_a_grant_learns_that_a_project_has_no_region() {
    let service = TestService::start(&POLICY.replacen(r#"["default"]"#, r#"["other"]"#, 1)).await;
    let request = CreateRoomRequest { project: "other".into(), ..Default::default() };
    let refused = create(&service.teacher().await, request.clone()).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["region"]);
    let refused = create(&service.client("key:verifier").await, request).await.unwrap_err();
    assert_refused(&refused, DENIED, "PROJECT_UNKNOWN", &[]);
}

#[tokio::test]
async fn a_batch_names_the_request_that_is_refused_and_uses_no_quota() {
    let quota = "quota = { tokens_per_second = 1, burst = 3 }\n[[grants]]\nname = \"verifier\"";
    let policy = POLICY.replace("[[grants]]\nname = \"verifier\"", quota);
    let service = TestService::audited(&policy).await;
    let teacher = service.teacher().await;
    let good = || room("r", Role::Writer);
    for (bad, reason) in [
        (room("r", Role::Admin), "POLICY_DENIED"),
        (IssueTokenRequest { project: "other".into(), ..good() }, "PROJECT_UNKNOWN"),
        (IssueTokenRequest { validity: Some(ttl(7_200_001)), ..good() }, "TTL_ABOVE_MAXIMUM"),
    ] {
        let refused = batch(&teacher, vec![good(), good(), bad]).await.unwrap_err();
        assert_refused(&refused, DENIED, reason, &[]);
        assert_eq!(refused.get_error_details().error_info().unwrap().metadata["request_index"], "2");
        assert!(refused.message().starts_with("requests[2]: "), "{}", refused.message());
        let line = service.lines().pop().unwrap();
        assert_eq!((&line["decision"], &line["reason"]), (&"deny".into(), &reason.into()));
        assert!(line["fingerprint"].is_null() && line["fingerprints"].is_null(), "nothing was minted");
    }
    // All of the burst is still there.
    assert_eq!(batch(&teacher, vec![good(), good(), good()]).await.unwrap().len(), 3);
    assert_eq!(service.lines().len(), 4);
}
