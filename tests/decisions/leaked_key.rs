//! The command of docs/runbooks/leaked-key.md, on the audit trail of the real program.

use inkpass::proto::{
    CreateRoomRequest, DisableRoomRequest, GetRoomRequest, IssueTokenRequest, Role, RoomScope, TokenGrant,
    VerifyTokenRequest,
    issue_token_request::{Scope, Validity},
};
use serde_json::json;
use tonic::Code;

use super::{
    POLICY, batch, create, issue,
    program::{ACCEPTED, Files, Program},
    room, sdk, ttl, until,
};
use crate::helpers::{assert_refused, page};

/// The lines that the page's command prints, each of which is one of the trail's.
fn listed(program: &Program, access_key: &str) -> Option<Vec<Vec<String>>> {
    let directory = program.path("");
    let key = [("9199ff0b90ee4c65aeea892d2852f69c", access_key)];
    let printed = page::run("docs/runbooks/leaked-key.md", "audit.log", &directory, &key)?;
    Some(printed.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn of(access_key: &str, uuid: &str) -> IssueTokenRequest {
    let scope = RoomScope { uuid: uuid.to_owned(), access_key: access_key.to_owned() };
    IssueTokenRequest { scope: Some(Scope::Room(scope)), role: Role::Reader.into(), ..Default::default() }
}

#[tokio::test]
async fn what_a_leaked_key_signed_that_is_still_valid_is_listed() {
    let keys = [Files::of(ACCEPTED[0]), Files::of(ACCEPTED[1])];
    let program = Program::with(POLICY, "", "deny", &keys).await;
    let teacher = program.client("key:teacher").await;
    let alone = issue(&teacher, room("alone", Role::Writer)).await.unwrap();
    let for_ever = issue(&teacher, IssueTokenRequest { validity: Some(Validity::Permanent(true)), ..sdk() })
        .await
        .unwrap();
    let over = IssueTokenRequest { validity: Some(ttl(1)), ..room("over", Role::Reader) };
    issue(&teacher, over.clone()).await.unwrap();
    issue(&teacher, of(ACCEPTED[1], "of another key")).await.unwrap();
    let denied = issue(&teacher, room("denied", Role::Admin)).await.unwrap_err();
    assert_refused(&denied, Code::PermissionDenied, "POLICY_DENIED", &[]);
    // Of a batch that is valid for different times the line has the longest, and of one of both keys it has neither.
    let long = IssueTokenRequest { validity: Some(ttl(5_400_000)), ..room("in a batch", Role::Reader) };
    batch(&teacher, vec![over, long]).await.unwrap();
    batch(&teacher, vec![of(ACCEPTED[0], "both"), of(ACCEPTED[1], "both")]).await.unwrap();
    let token_grant = Some(TokenGrant { role: Role::Writer.into(), validity: None });
    let created = create(&teacher, CreateRoomRequest { token_grant, ..Default::default() }).await.unwrap();
    let created = (created.room.unwrap().uuid, created.token.unwrap());

    if listed(&program, ACCEPTED[0]).is_none() {
        return;
    }
    // A token is listed to the end of its last second.
    until("the short one is over", async || {
        listed(&program, ACCEPTED[0]).unwrap().iter().all(|line| line[4] != "over")
    })
    .await;
    let lines = listed(&program, ACCEPTED[0]).unwrap();
    let found = |fingerprint: &str| lines.iter().find(|line| line[6] == fingerprint).unwrap().as_slice();
    assert_eq!(found(&alone.fingerprint)[1..6], ["default", "room", "writer", "alone", "key:teacher"]);
    assert_eq!(found(&for_ever.fingerprint)[..5], ["for ever", "default", "sdk", "reader", "-"]);
    assert_eq!(found(&created.1.fingerprint)[1..5], ["default", "room", "writer", &created.0]);
    let batches: Vec<_> = lines.iter().filter(|line| line[6] == "2 tokens").map(|line| &*line[4]).collect();
    assert_eq!((lines.len(), batches.len()), (5, 2), "{lines:?}");
    assert!(batches.contains(&"both"), "{lines:?}");
    // Until the time that the token says, to the second.
    let until = found(&alone.fingerprint)[0].clone();
    let expires = alone.expire_time.unwrap().to_string();
    assert_eq!(until[..19], expires[..19]);

    let lines = listed(&program, ACCEPTED[1]).unwrap();
    let rooms: Vec<_> = lines.iter().map(|line| &*line[4]).collect();
    assert!(rooms.len() == 2 && rooms.contains(&"of another key") && rooms.contains(&"both"), "{rooms:?}");
}

#[tokio::test]
async fn a_leaked_key_clears_its_rooms_until_the_vendor_disables_it() {
    let policy = POLICY.replace("TokenService/BatchIssueTokens", "TokenService/VerifyToken");
    let keys = [0, 1].map(|key| Files::of(ACCEPTED[key]));
    let program = Program::with(&policy, "", "deny", &keys).await;
    let teacher = program.client("key:teacher").await;
    let made = create(&teacher, CreateRoomRequest::default()).await.unwrap().room.unwrap();
    let before = issue(&teacher, of(ACCEPTED[0], &made.uuid)).await.unwrap();

    // The first step: it is retiring, and signs only what names it.
    program.mount("..2", &[1, 0].map(|key| Files::of(ACCEPTED[key])));
    until("the new key is in use", async || {
        issue(&teacher, room("r", Role::Writer)).await.unwrap().access_key == ACCEPTED[1]
    })
    .await;
    // The third: it still disables the rooms that are its.
    let (uuid, access_key) = (made.uuid, ACCEPTED[0].to_owned());
    let disable =
        DisableRoomRequest { uuid: uuid.clone(), access_key: access_key.clone(), ..Default::default() };
    let disabled = teacher.rooms().disable_room(disable).await.unwrap().into_inner().room.unwrap();
    assert!(disabled.disabled);
    // The fourth: the vendor takes it no more, and VerifyToken knows nothing of that.
    program.upstream().put("projects", json!({ "access_key": access_key, "state": "revoked" })).await;
    let get = GetRoomRequest { uuid, access_key, ..Default::default() };
    let refused = teacher.rooms().get_room(get).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_CREDENTIALS_REJECTED", &[]);
    let request = VerifyTokenRequest { token: before.value, ..Default::default() };
    assert!(teacher.tokens().verify_token(request).await.unwrap().into_inner().valid);
}
