//! The calls that mint tokens.

use inkpass::token::{Kind, Presented, Role};
use serde_json::{Value, json};

use super::{NOW, Whiteboard, key, sdk, token_of};
use crate::helpers::canary::secret_of;

#[tokio::test]
async fn a_key_pair_makes_an_sdk_token() {
    let board = Whiteboard::start().await;
    let mint = async |body: Value| board.call("POST", "/v5/tokens/teams", "", body).await;
    let mut body = json!({"accessKey": "one-a", "secretAccessKey": secret_of("one-a"), "lifespan": 5_000, "role": "writer"});
    let minted = mint(body.clone()).await;
    assert_eq!(minted.status, 201);
    let token = Presented::parse(minted.body.as_str().unwrap()).unwrap();
    assert!(token.is_signed_by(&key("one-a")));
    assert_eq!((token.kind(), token.role()), (Kind::Sdk, Role::Writer));
    assert_eq!(token.expire_at().unwrap().get(), NOW + 5_000);

    body["lifespan"] = json!(0);
    let permanent = mint(body.clone()).await;
    assert_eq!(Presented::parse(permanent.body.as_str().unwrap()).unwrap().expire_at(), None);

    for (field, value, status, message) in [
        ("secretAccessKey", "wrong", 401, "invalid signature of token"),
        ("secretAccessKey", "", 401, "invalid signature of token"),
        ("accessKey", "nobody", 401, "token access team forbidden"),
    ] {
        let mut body = body.clone();
        body[field] = json!(value);
        mint(body).await.is(status, message);
    }
    for (field, value) in [
        ("role", json!("owner")),
        ("role", Value::Null),
        ("lifespan", json!(-1)),
        ("lifespan", json!(u64::MAX)),
    ] {
        let mut body = body.clone();
        body[field] = value;
        assert_eq!(mint(body.clone()).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn an_sdk_token_mints_its_own_role_or_a_weaker_one() {
    let board = Whiteboard::start().await;
    for (kind, path) in [(Kind::Room, "/v5/tokens/rooms/some"), (Kind::Task, "/v5/tokens/tasks/some")] {
        for own in Role::ALL {
            for wanted in Role::ALL {
                let body = json!({"role": wanted.as_str(), "lifespan": 1});
                let minted = board.call("POST", path, &sdk(own), body).await;
                if wanted < own {
                    minted.is(403, &format!("token access role {own} forbidden"));
                    continue;
                }
                let token = Presented::parse(minted.body.as_str().unwrap()).unwrap();
                assert_eq!((token.kind(), token.role(), token.uuid()), (kind, wanted, "some"));
                assert_eq!(token.access_key(), "one-a");
            }
        }
    }
}

#[tokio::test]
async fn a_minted_room_token_opens_its_room() {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    let body = json!({"role": "writer", "lifespan": 60_000});
    let minted = board.call("POST", &format!("/v5/tokens/rooms/{room}"), &sdk(Role::Writer), body).await;
    let path = format!("/v5/rooms/{room}");
    assert_eq!(board.call("GET", &path, minted.body.as_str().unwrap(), Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_task_token_can_be_signed_by_another_key_of_the_project() {
    let board = Whiteboard::start().await;
    let mint = async |ak: &str| {
        let body = json!({"role": "reader", "ak": ak});
        board
            .call("POST", "/v5/tokens/tasks/some", &token_of("one-a", Kind::Sdk, "", Role::Admin), body)
            .await
    };
    let minted = mint("one-b").await;
    assert!(Presented::parse(minted.body.as_str().unwrap()).unwrap().is_signed_by(&key("one-b")));
    mint("two-a").await.is(400, "ak is not an access key of this project");
}
