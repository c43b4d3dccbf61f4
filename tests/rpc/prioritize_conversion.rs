//! `ConversionService.PrioritizeConversion`.

use std::time::Duration;

use inkpass::proto::{GetConversionRequest, PrioritizeConversionRequest, Priority};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused, scripted::Scripted};

async fn prioritize(world: &World, target: Target, priority: i32) -> Result<(), Status> {
    let Target { project, access_key, region, uuid } = target;
    let request = PrioritizeConversionRequest { project, access_key, region, uuid, priority };
    world.client.conversions().prioritize_conversion(request).await.map(|_| ())
}

fn of(uuid: &str) -> Target {
    Target { uuid: uuid.to_owned(), ..Target::default() }
}

async fn upstream_status(world: &World, uuid: &str) -> String {
    let request = GetConversionRequest { uuid: uuid.to_owned(), ..Default::default() };
    let answer = world.client.conversions().get_conversion(request).await.unwrap();
    answer.into_inner().conversion.unwrap().upstream_status
}

#[tokio::test]
async fn a_waiting_conversion_is_moved_with_an_sdk_writer_s_token() {
    let world = World::start().await;
    let mut uuids = Vec::new();
    for _ in 0..4 {
        uuids.push(world.conversion("https://example.com/a.pptx").await);
    }
    prioritize(&world, of(&uuids[3]), Priority::Highest.into()).await.unwrap();
    assert_eq!(world.upstream.last().await["body"], json!({ "priority": "highest" }));
    prioritize(&world, of(&uuids[0]), Priority::Lowest.into()).await.unwrap();
    assert_eq!(world.upstream.last().await["body"], json!({ "priority": "lowest" }));
    let path = format!("/v5/projector/tasks/{}/priority", uuids[0]);
    assert_sent(&world, "PUT", &path, "us-sv", ("sdk", "writer")).await;

    world.clock.advance(Duration::from_secs(1));
    assert_eq!(upstream_status(&world, &uuids[3]).await, "Converting");
    assert_eq!(upstream_status(&world, &uuids[0]).await, "Waiting");
    let refused = prioritize(&world, of(&uuids[3]), Priority::Lowest.into()).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "CONVERSION_NOT_WAITING", &[]);
}

#[tokio::test]
async fn a_refusal_in_an_answer_of_success_is_one() {
    for body in [r#"{"code":2010607}"#, r#"{"success":"0"}"#] {
        let world = Scripted::new(200, body).start().await;
        let refused = prioritize(&world, of("t1"), Priority::Highest.into()).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, "CONVERSION_NOT_WAITING", &[]);
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/a.pptx").await;
    let call =
        Call { world: &world, uuid: &uuid, field: "uuid", missing: "CONVERSION_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| prioritize(&world, target, Priority::Highest.into()).await).await;
    for priority in [0, 9] {
        let refused = prioritize(&world, Target::default(), priority).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["uuid", "priority"]);
    }
}
