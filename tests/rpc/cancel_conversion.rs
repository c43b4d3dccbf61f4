//! `ConversionService.CancelConversion`.

use std::time::Duration;

use inkpass::proto::{CancelConversionRequest, ConversionStatus, GetConversionRequest};
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused, log::Log, scripted::Scripted};

async fn cancel(world: &World, target: Target) -> Result<(), Status> {
    let Target { project, access_key, region, uuid } = target;
    let request = CancelConversionRequest { project, access_key, region, uuid };
    world.client.conversions().cancel_conversion(request).await.map(|_| ())
}

#[tokio::test]
async fn a_conversion_is_cancelled_once_with_an_sdk_writer_s_token() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/a.pptx").await;
    let target = Target { uuid: uuid.clone(), ..Target::default() };
    cancel(&world, target.clone()).await.unwrap();
    assert_sent(&world, "DELETE", &format!("/v5/projector/tasks/{uuid}"), "us-sv", ("sdk", "writer")).await;
    let request = GetConversionRequest { uuid, ..Default::default() };
    let conversion =
        world.client.conversions().get_conversion(request).await.unwrap().into_inner().conversion;
    assert_eq!(conversion.unwrap().status(), ConversionStatus::Cancelled);
    let refused = cancel(&world, target).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "CONVERSION_NOT_WAITING", &[]);
}

#[tokio::test]
async fn success_may_say_nothing_but_not_that_it_refuses() {
    let target = || Target { uuid: "t1".into(), ..Target::default() };
    for (status, body) in [(204, ""), (200, ""), (200, "{}"), (200, r#"{"code":0,"error":null}"#)] {
        let world = Scripted::new(status, body).start().await;
        cancel(&world, target()).await.unwrap();
    }
    let upstream = Scripted::new(200, "");
    let world = upstream.start().await;
    for (body, code, reason) in [
        (r#"{"code":2010605}"#, Code::NotFound, "CONVERSION_NOT_FOUND"),
        (r#"{"errorCode":"2010607"}"#, Code::FailedPrecondition, "CONVERSION_NOT_WAITING"),
        (r#"{"success":false,"code":"2011301"}"#, Code::NotFound, "CONVERSION_NOT_FOUND"),
        (r#"{"success":false}"#, Code::FailedPrecondition, "CONVERSION_NOT_WAITING"),
        (r#"{"success":"False"}"#, Code::FailedPrecondition, "CONVERSION_NOT_WAITING"),
        (r#"{"success":0}"#, Code::FailedPrecondition, "CONVERSION_NOT_WAITING"),
        (r#"{"code":2019999}"#, Code::FailedPrecondition, "UPSTREAM_REFUSED"),
        (r#"{"error":{"title":"who knows"}}"#, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER"),
        ("<html>", Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER"),
    ] {
        let log = Log::start();
        *upstream.body.lock().unwrap() = body.into();
        assert_refused(&cancel(&world, target()).await.unwrap_err(), code, reason, &[]);
        assert_eq!(log.count("an upstream call failed"), 1, "{body}: {}", log.text());
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/a.pptx").await;
    let call =
        Call { world: &world, uuid: &uuid, field: "uuid", missing: "CONVERSION_NOT_FOUND", is_post: false };
    call.refuses_bad_targets(&async |target| cancel(&world, target).await).await;
    let finished = world.conversion("https://example.com/a.pptx").await;
    world.clock.advance(Duration::from_mins(1));
    let refused = cancel(&world, Target { uuid: finished.clone(), ..Target::default() }).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "CONVERSION_NOT_WAITING", &[]);
    call.refuses_failures(&async |target| cancel(&world, target).await).await;
}
