//! `ConversionService.ListPendingConversions`.

use std::time::Duration;

use inkpass::proto::{ConversionStatus, ListPendingConversionsRequest, PendingConversion, Region};
use tonic::{Code, Status};

use super::alike::{Call, assert_sent};
use crate::helpers::{World, assert_refused, scripted::Scripted};

async fn list(
    world: &World,
    request: ListPendingConversionsRequest,
) -> Result<Vec<PendingConversion>, Status> {
    world
        .client
        .conversions()
        .list_pending_conversions(request)
        .await
        .map(|answer| answer.into_inner().conversions)
}

#[tokio::test]
async fn what_waits_and_runs_is_listed_with_an_sdk_writer_s_token() {
    let world = World::start().await;
    let (first, second) = (
        world.conversion("https://example.com/a.pptx").await,
        world.conversion("https://example.com/b.pptx").await,
    );
    world.clock.advance(Duration::from_secs(2));
    let pending = list(&world, ListPendingConversionsRequest::default()).await.unwrap();
    let pending: Vec<_> = pending.iter().map(|conversion| (&*conversion.uuid, conversion.status())).collect();
    assert_eq!(pending, [(&*first, ConversionStatus::Converting), (&*second, ConversionStatus::Waiting)]);
    assert_sent(&world, "GET", "/v5/projector/tasks", "us-sv", ("sdk", "writer")).await;

    let elsewhere = ListPendingConversionsRequest { region: Region::Eu.into(), ..Default::default() };
    assert!(list(&world, elsewhere).await.unwrap().is_empty());
    world.clock.advance(Duration::from_mins(1));
    assert!(list(&world, ListPendingConversionsRequest::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_status_that_is_new_is_unknown() {
    let world = Scripted::new(200, r#"[{"taskId":"t1","status":7}]"#).start().await;
    let pending = list(&world, ListPendingConversionsRequest::default()).await.unwrap();
    assert_eq!(pending[0].status(), ConversionStatus::Unknown);
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    for (request, code, reason, fields) in [
        (
            ListPendingConversionsRequest { region: 99, ..Default::default() },
            Code::InvalidArgument,
            "INVALID_REQUEST",
            &["region"][..],
        ),
        (
            ListPendingConversionsRequest { project: "other".into(), ..Default::default() },
            Code::InvalidArgument,
            "INVALID_REQUEST",
            &["region"],
        ),
        (
            ListPendingConversionsRequest { project: "nobody".into(), ..Default::default() },
            Code::PermissionDenied,
            "PROJECT_UNKNOWN",
            &[],
        ),
    ] {
        assert_refused(&list(&world, request).await.unwrap_err(), code, reason, fields);
    }
    assert!(world.upstream.requests().await.is_empty());
    let call = Call { world: &world, uuid: "", field: "", missing: "", is_post: false };
    let list = async |_| list(&world, ListPendingConversionsRequest::default()).await.map(drop);
    call.refuses_failures(&list).await;
}
