//! `TokenService.BatchIssueTokens`.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use inkpass::{
    assembly::{Environment, offline},
    clock::{Clock, UnixMillis},
    entropy::CountingEntropy,
    keyring::{KeyState, Keyring, Project},
    proto::{
        BatchIssueTokensRequest, BatchIssueTokensResponse, IssueTokenRequest, Role, RoomScope, SdkScope,
        Token,
        issue_token_request::{Scope, Validity},
        token_service_server::TokenService,
    },
    region::Region,
    rpc::Tokens,
    token::SigningKey,
};
use prost::Message;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::helpers::{NOW, Setup, World, assert_refused, keyring};

fn room(uuid: &str, access_key: &str) -> IssueTokenRequest {
    let scope = Scope::Room(RoomScope { uuid: uuid.into(), access_key: access_key.into() });
    IssueTokenRequest { scope: Some(scope), role: Role::Reader.into(), ..Default::default() }
}

async fn issue(world: &World, requests: Vec<IssueTokenRequest>) -> Result<Vec<Token>, Status> {
    let request = BatchIssueTokensRequest { requests };
    world.client.tokens().batch_issue_tokens(request).await.map(|answer| answer.into_inner().tokens)
}

/// Another time at each reading.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> UnixMillis {
        UnixMillis::new(NOW + self.0.fetch_add(1000, Ordering::SeqCst)).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test]
async fn a_batch_has_one_reading_of_the_clock() {
    let clock = Arc::new(Ticking(AtomicU64::new(0)));
    let environment = Environment { clock, entropy: Arc::new(CountingEntropy::default()) };
    let requests = vec![room("r", ""); 3];
    let service = Tokens::new(Arc::new(offline(keyring(), environment)));
    let answer = service.batch_issue_tokens(Request::new(BatchIssueTokensRequest { requests })).await;
    let tokens = answer.unwrap().into_inner().tokens;
    assert!(tokens.iter().all(|token| token.expire_time == tokens[0].expire_time), "{tokens:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_thousand_requests_arrives() {
    let world = World::start().await;
    let refused = issue(&world, vec![IssueTokenRequest::default(); 1000]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let details = refused.get_error_details();
    let named = details.bad_request().unwrap().field_violations.len();
    let left_out = &details.error_info().unwrap().metadata["violations_left_out"];
    assert_eq!(named + left_out.parse::<usize>().unwrap(), 2000);
    assert!(named > 50, "{named}");
    assert!(refused.message().ends_with("; and 1997 more"), "{}", refused.message());
    // What goes into a header of 8 KiB with the others, in base64.
    assert!(refused.details().len() < 5500, "{}", refused.details().len());
}

#[tokio::test]
async fn more_elements_than_any_request_has_are_refused_before_they_are_decoded() {
    let world = World::start().await;
    let refused = issue(&world, vec![IssueTokenRequest::default(); 2049]).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &[""]);
    assert!(refused.message().contains("2,048 fields"), "{}", refused.message());
}

#[tokio::test]
async fn the_longest_batch_fits_into_an_answer() {
    let longest_key = || {
        let key = SigningKey::new(&"é".repeat(64), b"a secret of some length").unwrap();
        let project = Project::new("default", Some(Region::UsSv), vec![(KeyState::Active, Arc::new(key))]);
        Keyring::new(vec![project], None)
    };
    let world = Setup { keyring: longest_key, ..Setup::default() }.start().await;
    let uuid = "\"".repeat(128);
    let tokens = issue(&world, vec![room(&uuid, ""); 1000]).await.unwrap();
    let answer = BatchIssueTokensResponse { tokens };
    assert_eq!(answer.tokens.len(), 1000);
    assert!(answer.encoded_len() > 1024 * 1024, "it is longer than any other: {}", answer.encoded_len());
    assert!(answer.encoded_len() < 2 * 1024 * 1024, "{}", answer.encoded_len());
}

#[tokio::test]
async fn a_thousand_tokens_come_in_order() {
    let world = World::start().await;
    let requests = (0..1000).map(|index| room(&format!("r{index}"), "")).collect();
    let tokens = issue(&world, requests).await.unwrap();
    let uuids: Vec<_> = tokens.iter().map(|token| token.uuid.clone()).collect();
    assert_eq!(uuids, (0..1000).map(|index| format!("r{index}")).collect::<Vec<_>>());
    let values: HashSet<_> = tokens.iter().map(|token| &token.value).collect();
    assert_eq!(values.len(), 1000);
}

#[tokio::test]
async fn each_request_has_its_own_project_and_key() {
    let world = World::start().await;
    let elsewhere = IssueTokenRequest { project: "other".into(), ..room("r", "") };
    let tokens = issue(&world, vec![room("r", ""), elsewhere, room("r", "retiring-key")]).await.unwrap();
    let keys: Vec<_> = tokens.iter().map(|token| &*token.access_key).collect();
    assert_eq!(keys, ["active-key", "other-key", "retiring-key"]);
}

#[tokio::test]
async fn every_violation_of_every_request_is_named_by_its_index() {
    let world = World::start().await;
    let ttl = Some(Validity::Ttl(prost_types::Duration::default()));
    let requests =
        vec![room("r", ""), room("", ""), IssueTokenRequest { validity: ttl, ..Default::default() }];
    let refused = issue(&world, requests).await.unwrap_err();
    let fields = ["requests[1].room.uuid", "requests[2].scope", "requests[2].role", "requests[2].ttl"];
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    for count in [0, 1001] {
        let refused = issue(&world, vec![room("r", ""); count]).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["requests"]);
    }
}

#[tokio::test]
async fn one_refusal_refuses_all_and_says_which() {
    let world = World::start().await;
    let validity = Some(Validity::Ttl(prost_types::Duration { seconds: 7200, nanos: 0 }));
    let too_long = IssueTokenRequest { scope: Some(Scope::Sdk(SdkScope {})), validity, ..room("", "") };
    let permanent = IssueTokenRequest { validity: Some(Validity::Permanent(true)), ..room("r", "") };
    for (bad, code, reason) in [
        (
            IssueTokenRequest { project: "nobody".into(), ..room("r", "") },
            Code::PermissionDenied,
            "PROJECT_UNKNOWN",
        ),
        (too_long, Code::PermissionDenied, "TTL_ABOVE_MAXIMUM"),
        (permanent, Code::PermissionDenied, "PERMANENT_TOKEN_FORBIDDEN"),
        (room("r", "verify-only-key"), Code::NotFound, "ACCESS_KEY_UNKNOWN"),
    ] {
        let refused = issue(&world, vec![room("r", ""), bad]).await.unwrap_err();
        assert_refused(&refused, code, reason, &[]);
        assert_eq!(refused.get_error_details().error_info().unwrap().metadata["request_index"], "1");
        assert!(refused.message().starts_with("requests[1]: "), "{}", refused.message());
    }
}
